"""One graph while it is converted: what rules ask of old nodes, and how they put new ones in their place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from .graph import BYPASSED, GETTER, MUTED, PRIMITIVE, REROUTE, SETTER, Graph, GraphNode, Link
from .old import OLD_WIDGETS
from .report import CHANGED, DIFFERENT, LOST, Report
from .ui import slots_of

Installed = Callable[[str], bool]


class Work:
    """A graph, its report, and the types of nodes that are there and need no conversion."""

    def __init__(self, graph: Graph, report: Report, installed: Installed) -> None:
        self.graph, self.report, self.installed = graph, report, installed
        self.takes_over: dict[Any, Any] = {}  # ids of old nodes by the new ones that go by them
        self.used: set[Any] = set()
        self._made = 0
        self._read_before = {link.node for node in graph.nodes.values() for link in node.links().values()}
        self._setters = {
            first_value(node): next(iter(node.links().values()), None)
            for node in graph.nodes.values()
            if node.type == SETTER and isinstance(first_value(node), str)
        }
        self.loads_motion = any(
            "AnimateDiffLoader" in node.type or node.type == "ADE_UseEvolvedSampling"
            for node in graph.nodes.values()
        )

    # what old nodes hold

    def given(self, node: GraphNode, name: str) -> Any:
        """A link, a value, or the default of a widget; None where nothing is."""
        value = node.inputs.get(name)
        if isinstance(value, Link):
            source, _ = self.source(value)
            if source is None:
                return OLD_WIDGETS.get(node.type, {}).get(name)
            return value
        default = OLD_WIDGETS.get(node.type, {}).get(name)
        return default if value is None else _of_kind(value, default)

    def fixed(self, node: GraphNode, name: str) -> Any:
        """A value that must be known now.

        If another node gives it, this is the default, and the report says so.
        """
        value = self.given(node, name)
        if not isinstance(value, Link):
            return value
        source, _ = self.source(value)
        if source is not None and source.type == PRIMITIVE and "value" in source.inputs:
            return source.inputs["value"]
        default = OLD_WIDGETS.get(node.type, {}).get(name)
        self.differs(
            node, f"{name} comes from another node, which this choice cannot; it is {default!r} now."
        )
        return default

    def source(self, link: Link | None) -> tuple[GraphNode | None, int]:
        """The node behind a link and its output.

        Through reroutes, get and set nodes, and what is bypassed.
        """
        seen: set[Link] = set()
        while link is not None and link not in seen:
            seen.add(link)
            link = self.graph.now(link)
            node = None if link is None else self.graph.nodes.get(link.node)
            if link is None or node is None or (node.mode == MUTED and node.at is None):
                return None, 0
            if node.type == REROUTE:
                link = next(iter(node.links().values()), None)
            elif node.type == GETTER:
                link = self._setters.get(str(first_value(node)))
            elif node.mode == BYPASSED:
                link = passed(node, link.slot)
            else:
                return node, link.slot
        return None, 0

    def option(self, node: GraphNode, name: str) -> GraphNode | None:
        """The old node that an input reads its options from; it has been used then."""
        value = node.inputs.get(name)
        found, _ = self.source(value if isinstance(value, Link) else None)
        if found is not None:
            self.used.add(found.id)
        return found

    def chain(self, node: GraphNode | None, name: str) -> list[GraphNode]:
        """A node and those before it, linked by `name`, the first one first."""
        found: dict[Any, GraphNode] = {}
        while node is not None and node.id not in found:
            found[node.id] = node
            node = self.option(node, name)
        return list(found.values())[::-1]

    # new nodes

    def add(self, node_type: str, at: GraphNode, **inputs: Any) -> Link:
        """A new node in the place of an old one; its first output."""
        place = at.at or at
        self._made += 1
        new = GraphNode(("new", self._made), node_type, inputs, at.mode, at=place)
        self.graph.nodes[new.id] = new
        return Link(new.id, 0)

    def replace(self, node: GraphNode, *outputs: Link | None) -> None:
        """Take an old node out; what its outputs were is `outputs` now, further ones lead nowhere."""
        for slot in range(max(len(outputs), len(slots_of(node.raw, "outputs")), 1)):
            self.graph.moved[Link(node.id, slot)] = outputs[slot] if slot < len(outputs) else None
        main = next((link for link in outputs if link is not None), None)
        if main is not None and main.node in self.graph.nodes and isinstance(main.node, tuple):
            self.takes_over.setdefault(main.node, node.id)
        self.graph.nodes.pop(node.id, None)

    def became(self, node: GraphNode, what: str) -> None:
        """A line of the report."""
        self.report.add(CHANGED, f"{node.title()}: {what}.")

    def differs(self, node: GraphNode, sentence: str) -> None:
        """A line of the report."""
        self.report.add(DIFFERENT, f"{node.title()}: {sentence}")

    def lost(self, node: GraphNode, sentence: str) -> None:
        """A line of the report."""
        self.report.add(LOST, f"{node.title()}: {sentence}")

    # the end

    def forget(self, ids: set[Any]) -> None:
        """Take out old nodes that nothing reads any more.

        Reroutes and values that were there for them alone go, too.
        """
        passive = {n.id: n for n in self.graph.nodes.values() if n.type in (REROUTE, PRIMITIVE)}
        readers = Counter(
            link.node
            for node in self.graph.nodes.values()
            for link in map(self.graph.now, node.links().values())
            if link is not None
        )
        for name in ids:
            self.graph.nodes.pop(name, None)
        lost_readers = [name for name in passive if not readers[name] and name in self._read_before]
        lost_readers += [node.id for node in passive.values() if self._fed_by_replaced(node)]
        while lost_readers:
            node = self.graph.nodes.get(lost_readers.pop())
            if node is None or node.id not in passive or readers[node.id]:
                continue
            del self.graph.nodes[node.id]
            for link in node.links().values():
                readers[link.node] -= 1
                lost_readers.append(link.node)

    def _fed_by_replaced(self, node: GraphNode) -> bool:
        links = node.links().values()
        return bool(links) and all(self.graph.now(link) is None for link in links)

    def ids(self, text: bool) -> dict[Any, Any]:
        """The id that each node is saved with."""
        final, taken = {}, set()
        for node in self.graph.nodes.values():
            if node.at is None:
                final[node.id] = node.id
        for new, old in self.takes_over.items():
            if new in self.graph.nodes and old not in taken:
                final[new] = old
                taken.add(old)
        for node in self.graph.nodes.values():
            if node.id not in final:
                final[node.id] = self.graph.new_id(text)
        return final

    def old_nodes(self) -> Iterator[GraphNode]:
        """Nodes as they were saved, those that were not replaced yet."""
        return (node for node in list(self.graph.nodes.values()) if node.at is None)


def _of_kind(value: Any, default: Any) -> Any:
    """A value of a widget; its default where it is not even of that kind."""
    if default is None:
        return value
    kinds = str if isinstance(default, str) else int | float
    return value if isinstance(value, kinds) and value == value else default


def first_value(node: GraphNode) -> Any:
    """The first widget of a node whose widgets have no names, as a text."""
    values = node.raw.get("widgets_values")
    return str(values[0]) if isinstance(values, list) and values else None


def passed(node: GraphNode, slot: int) -> Link | None:
    """Value that a bypassed node hands on as an output: its first input of the same type."""
    outputs, inputs = slots_of(node.raw, "outputs"), slots_of(node.raw, "inputs")
    if slot >= len(outputs):
        return None
    kind = outputs[slot].get("type")
    fitting = (node.inputs.get(str(part.get("name"))) for part in inputs if part.get("type") == kind)
    return next((link for link in fitting if isinstance(link, Link)), None)
