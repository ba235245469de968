"""Graphs as the page saves them, written again after a conversion: only what was replaced changes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from .graph import Graph, GraphNode, Link, highest_id
from .old import SEEDS
from .places import TakenPlaces, pair, size_of
from .targets import TARGETS, Input
from .ui import INLET, OUTLET, WIRE, Wire, counted, slots_of, wires

NOTE_WIDTH, NOTE_LINE = 520, 85  # pixels, and letters that fit into a line of it


class LevelWriter:
    """One level of a graph: its nodes and wires after everything that was replaced."""

    def __init__(self, graph: Graph, level: Mapping[str, Any], ids: Mapping[Any, Any]) -> None:
        self.graph, self.level, self.ids = graph, level, ids
        self.old_wires = list(wires(level))
        last = max(highest_id(wire.id for wire in self.old_wires), counted(level.get("last_link_id")))
        self._numbers = count(last + 1)
        self.sources = {INLET, *ids.values()}
        self.links: list[Any] = []
        self.into: dict[tuple[Any, int], Any] = {}  # id of the wire by target and slot
        self.out_of: dict[Link, list[Any]] = {}

    def written(self) -> dict[str, Any]:
        """The level with the new nodes and wires."""
        for wire in self.old_wires:
            self._rewired(wire)
        new = [node for node in self.graph.nodes.values() if node.at is not None]
        for node in new:
            for slot, part in enumerate(sockets(node)):
                link = self._source(node.inputs.get(part.name))
                if link is not None:
                    self._wire(link, self.ids[node.id], slot, part.type)
        nodes = [self._kept(node) for node in self.graph.nodes.values() if node.at is None]
        places = TakenPlaces(nodes)
        nodes += [self._new(node, order, places) for order, node in enumerate(new, len(nodes))]
        strange = [raw for raw in self.level["nodes"] if not isinstance(raw, Mapping)]
        out = {**self.level, "nodes": [*nodes, *strange], "links": self.links, **self._edges()}
        if "last_node_id" in out:
            out["last_node_id"] = max(self.graph.last_id, highest_id(self.ids.values()))
        if "last_link_id" in out:
            out["last_link_id"] = next(self._numbers) - 1
        return out

    def _source(self, value: Any) -> Link | None:
        link = self.graph.now(value) if isinstance(value, Link) else None
        found = None if link is None else self.ids.get(link.node, link.node)
        return Link(found, link.slot) if link is not None and found in self.sources else None

    def _rewired(self, wire: Wire) -> None:
        link = self._source(wire.source)
        kept = wire.target in self.graph.nodes or wire.target == OUTLET
        if link is None or not kept:
            return
        self._remember(wire.id, link, wire.target, wire.target_slot)
        if link == wire.source:
            self.links.append(wire.raw)
        elif isinstance(wire.raw, Mapping):
            self.links.append({**wire.raw, "origin_id": link.node, "origin_slot": link.slot})
        else:
            self.links.append([wire.id, link.node, link.slot, *wire.raw[3:]])

    def _wire(self, link: Link, target: Any, slot: int, kind: str) -> None:
        name = next(self._numbers)
        parts = [name, link.node, link.slot, target, slot, kind]
        mapping = bool(self.old_wires) and isinstance(self.old_wires[0].raw, Mapping)
        self.links.append(dict(zip(WIRE, parts, strict=True)) if mapping else parts)
        self._remember(name, link, target, slot)

    def _remember(self, name: Any, link: Link, target: Any, slot: int) -> None:
        self.into[target, slot] = name
        self.out_of.setdefault(link, []).append(name)

    def _kept(self, node: GraphNode) -> dict[str, Any]:
        raw = dict(node.raw)
        if isinstance(raw.get("inputs"), list):
            raw["inputs"] = [
                {**slot, "link": self.into.get((node.id, number))}
                for number, slot in enumerate(slots_of(raw, "inputs"))
            ]
        if isinstance(raw.get("outputs"), list):
            raw["outputs"] = [
                {**slot, "links": self.out_of.get(Link(node.id, number), [])}
                for number, slot in enumerate(slots_of(raw, "outputs"))
            ]
        return raw

    def _new(self, node: GraphNode, order: int, places: TakenPlaces) -> dict[str, Any]:
        name, target = self.ids[node.id], TARGETS[node.type]
        inputs = [self._socket(part, self.into.get((name, slot))) for slot, part in enumerate(sockets(node))]
        outputs = [
            {"name": kind, "type": kind, "links": self.out_of.get(Link(name, slot), []), "slot_index": slot}
            for slot, kind in enumerate(target.outputs)
        ]
        values: list[Any] = []
        for part in target.inputs:
            if part.widget:
                value = node.inputs.get(part.name, part.default)
                values.append(part.default if isinstance(value, Link) else value)
                values += ["fixed"] if part.name in SEEDS else []
        size = size_of(target, sum(not part.widget for part in target.inputs))
        return {
            "id": name,
            "type": node.type,
            "pos": list(places.nearest(*pair((node.at or node).raw.get("pos")), *size)),
            "size": list(size),
            "flags": {},
            "order": order,
            "mode": node.mode,
            "inputs": inputs,
            "outputs": outputs,
            "properties": {"Node name for S&R": node.type},
            "widgets_values": values,
        }

    @staticmethod
    def _socket(part: Input, link: Any) -> dict[str, Any]:
        socket = {"name": part.name, "type": part.type, "link": link}
        return {**socket, "widget": {"name": part.name}} if part.widget else socket

    def _edges(self) -> dict[str, Any]:
        """Ends of wires that a subgraph lists beside them."""
        edges = {}
        for side, ends in (
            ("inputs", lambda number: self.out_of.get(Link(INLET, number), [])),
            ("outputs", lambda number: [self.into[OUTLET, number]] if (OUTLET, number) in self.into else []),
        ):
            if isinstance(self.level.get(side), list):
                edges[side] = [
                    {**slot, "linkIds": ends(number)} if isinstance(slot, Mapping) else slot
                    for number, slot in enumerate(self.level[side])
                ]
        return edges


def sockets(node: GraphNode) -> list[Input]:
    """Inputs that a saved node lists: all sockets, and widgets that another node sets."""
    inputs = TARGETS[node.type].inputs
    return [part for part in inputs if not part.widget or isinstance(node.inputs.get(part.name), Link)]


def with_note(data: Mapping[str, Any], text: str) -> dict[str, Any]:
    """The graph with a note to the left of everything else."""
    places = [pair(raw.get("pos")) for raw in data["nodes"] if isinstance(raw, Mapping)] or [(0.0, 0.0)]
    name = (
        max(
            highest_id(raw.get("id") for raw in data["nodes"] if isinstance(raw, Mapping)),
            counted(data.get("last_node_id")),
        )
        + 1
    )
    lines = sum(2 + len(line) // NOTE_LINE for line in text.splitlines())
    note = {
        "id": name,
        "type": "MarkdownNote",
        "pos": [min(x for x, _ in places) - NOTE_WIDTH - 40, min(y for _, y in places)],
        "size": [NOTE_WIDTH, 100 + 14 * lines],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "title": "Opened with Video LDM",
        "properties": {},
        "widgets_values": [text],
    }
    return {**data, "nodes": [*data["nodes"], note], "last_node_id": name}
