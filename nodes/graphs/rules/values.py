"""Multivals: a number, a list with one number a frame, and a mask.

They set the strength and the motion of temporal layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..graph import GraphNode, Link
from ..work import Work


@dataclass(frozen=True)
class Value:
    """A number or a link to numbers; `outside`: where `mask` is 0."""

    number: Any = 1.0
    mask: Link | None = None
    outside: float = 0.0

    @property
    def plain(self) -> bool:
        """True if it is one number everywhere."""
        return self.mask is None and not isinstance(self.number, Link)


def multival(work: Work, node: GraphNode, name: str) -> Value | None:
    """Value of a node's multival input; None: nothing."""
    found = work.option(node, name)
    return None if found is None else read_multival(work, found, node)


def read_multival(work: Work, found: GraphNode, reader: GraphNode) -> Value | None:
    """Value of a multival node."""
    if found.type == "ADE_MultivalScaledMask":
        if work.fixed(found, "scaling") == "relative":
            work.differs(
                found,
                "the mask is taken as it is; stretch it to black and white if its darkest and lightest "
                "should count.",
            )
        low, high = work.fixed(found, "min_float_val"), work.given(found, "max_float_val")
        mask = work.given(found, "mask")
        work.became(found, "inputs of the node it was connected to")
        return Value(high, mask if isinstance(mask, Link) else None, low)
    if found.type in ("ADE_MultivalDynamic", "ADE_MultivalDynamicFloatInput", "ADE_MultivalDynamicFloats"):
        number = work.given(found, "floats" if found.type.endswith("Floats") else "float_val")
        mask = work.given(found, "mask_optional")
        work.became(found, "inputs of the node it was connected to")
        return Value(1.0 if number is None else number, mask if isinstance(mask, Link) else None)
    work.lost(reader, f"values from {found.title()} are not understood; everything is as trained instead.")
    return None


def plain_number(work: Work, node: GraphNode, name: str, otherwise: float) -> float:
    """A multival that must be one number."""
    value = multival(work, node, name)
    if value is None:
        return otherwise
    if not value.plain:
        work.differs(
            node,
            f"{name} varies between frames or places, which the new node cannot; it is {otherwise:g} now.",
        )
        return otherwise
    return value.number
