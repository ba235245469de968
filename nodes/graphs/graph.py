"""A graph as the rules see it, whatever format it was saved in.

Nodes with named inputs, links between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

RUNS, MUTED, BYPASSED = 0, 2, 4  # the host's modes of a node
REROUTE, PRIMITIVE = "Reroute", "PrimitiveNode"
GETTER, SETTER = "GetNode", "SetNode"  # KJNodes' links without wires


class Link(NamedTuple):
    """An output of a node."""

    node: Any
    slot: int = 0


@dataclass(eq=False)
class GraphNode:
    """A node. `inputs`: links and, where names are known, values of widgets by name. `raw`: as it was saved.

    `at`: the old node in whose place a new one stands.
    """

    id: Any
    type: str
    inputs: dict[str, Any]
    mode: int = RUNS
    raw: dict[str, Any] = field(default_factory=dict)
    at: GraphNode | None = None

    def links(self) -> dict[str, Link]:
        """Its inputs that come from other nodes."""
        return {name: value for name, value in self.inputs.items() if isinstance(value, Link)}

    def title(self) -> str:
        """Name by which an artist knows it."""
        title = self.raw.get("title") or self.raw.get("_meta", {}).get("title") or self.type
        return f"{title} ({self.id})"


@dataclass
class Graph:
    """The nodes of one level of a graph.

    `moved` says where the outputs of replaced nodes are now, None for nowhere.
    """

    nodes: dict[Any, GraphNode]
    moved: dict[Link, Link | None] = field(default_factory=dict)
    last_id: int = 0

    def new_id(self, text: bool) -> Any:
        """An id that no node has."""
        self.last_id += 1
        return str(self.last_id) if text else self.last_id

    def now(self, link: Link | None) -> Link | None:
        """Current place of an output, after all that was replaced."""
        passed: dict[Link, None] = {}
        while link is not None and link in self.moved and link not in passed:
            passed[link] = None
            link = self.moved[link]
        for step in passed:  # the next one who asks goes straight there
            self.moved[step] = None if link in passed else link
        return None if link in passed else link

    def consumers(self, link: Link) -> Iterator[tuple[GraphNode, str]]:
        """Nodes that read an output, and by which input."""
        for node in self.nodes.values():
            for name, source in node.links().items():
                if self.now(source) == link:
                    yield node, name


def highest_id(ids: Any) -> int:
    """The largest whole number among ids, which may be texts such as "12" or "12:3"."""
    numbers = [
        int(part) for one in ids for part in str(one).split(":") if part.isdecimal() and len(part) < 16
    ]
    return max(numbers, default=0)
