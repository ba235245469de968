"""Graphs as the page saves them: nodes with places, wires between them, subgraphs, groups, notes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from .graph import PRIMITIVE, RUNS, Graph, GraphNode, Link, highest_id
from .old import named_values

INLET, OUTLET = -10, -20  # what wires of a subgraph call its edge
ID = (int, str)
WIRE = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")


@dataclass(frozen=True)
class Wire:
    """A wire as it was saved, as a list or as a mapping."""

    id: Any
    source: Link
    target: Any
    target_slot: int
    type: Any
    raw: Any


def is_ui(data: Any) -> bool:
    """True if something is a graph as the page saves it."""
    return (
        isinstance(data, Mapping)
        and isinstance(data.get("nodes"), list)
        and isinstance(data.get("links"), list)
    )


def levels(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The graph itself and every subgraph that it defines."""
    yield data
    definitions = data.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, Mapping) else None
    yield from (level for level in subgraphs or () if is_ui(level))


def wires(level: Mapping[str, Any]) -> Iterator[Wire]:
    """Its wires; what is none is left out."""
    for raw in level["links"]:
        parts: Any = [raw.get(name) for name in WIRE] if isinstance(raw, Mapping) else raw
        if not isinstance(parts, list) or len(parts) < 5:
            continue
        name, source, slot, target, target_slot, *kind = parts
        ids = isinstance(name, ID) and isinstance(source, ID) and isinstance(target, ID)
        if ids and _number(slot) and _number(target_slot):
            yield Wire(name, Link(source, slot), target, target_slot, kind[0] if kind else "*", raw)


def counted(value: Any) -> int:
    """A number that the page has counted up to; of anything else 0."""
    return value if isinstance(value, int) else 0


def _number(value: Any) -> bool:
    return isinstance(value, int) and value >= 0


def read_level(level: Mapping[str, Any]) -> tuple[Graph, dict[Any, int]]:
    """The graph of one level, and how many unknown values the widgets of some nodes hold."""
    nodes, unknown = {}, {}
    for raw in level["nodes"]:
        if (
            isinstance(raw, Mapping)
            and isinstance(raw.get("type"), str)
            and isinstance(raw.get("id"), int | str)
        ):
            values, more = _values(raw)
            unknown |= {raw["id"]: more} if more else {}
            nodes[raw["id"]] = GraphNode(raw["id"], raw["type"], values, raw.get("mode") or RUNS, dict(raw))
    known = {INLET, *nodes}
    inputs = {name: slots_of(node.raw, "inputs") for name, node in nodes.items()}
    for wire in wires(level):
        slots = inputs.get(wire.target, [])
        if wire.target_slot < len(slots) and wire.source.node in known:
            nodes[wire.target].inputs[slots[wire.target_slot].get("name")] = wire.source
    return Graph(nodes, last_id=max(highest_id(nodes), counted(level.get("last_node_id")))), unknown


def _values(raw: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
    values = raw.get("widgets_values")
    if raw["type"] == PRIMITIVE:
        return {"value": values[0]} if isinstance(values, list) and values else {}, 0
    return named_values(raw["type"], values)


def slots_of(raw: Mapping[str, Any], side: str) -> list[Mapping[str, Any]]:
    """Sockets of a saved node: "inputs" or "outputs"."""
    slots = raw.get(side)
    named = [slot for slot in slots if isinstance(slot, Mapping)] if isinstance(slots, list) else []
    return [slot if isinstance(slot.get("name"), str) else {**slot, "name": ""} for slot in named]
