"""Graphs in the API format, as scripts and bots send them: {id: {class_type, inputs}}."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .graph import Graph, GraphNode, Link, highest_id
from .targets import TARGETS


def is_api(data: Any) -> bool:
    """True if something is a graph in the API format."""
    return (
        isinstance(data, Mapping)
        and bool(data)
        and all(
            isinstance(node, Mapping) and isinstance(node.get("class_type"), str) for node in data.values()
        )
    )


def read_api(data: Mapping[str, Any]) -> Graph:
    """The graph of a prompt."""
    nodes = {}
    for name, raw in data.items():
        given = raw.get("inputs") if isinstance(raw.get("inputs"), Mapping) else {}
        inputs = {key: _value(value, data) for key, value in given.items()}
        nodes[name] = GraphNode(name, raw["class_type"], inputs, raw=dict(raw))
    return Graph(nodes, last_id=highest_id(data))


def _value(value: Any, data: Mapping[str, Any]) -> Any:
    if (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], str)
        and isinstance(value[1], int)
    ):
        return Link(value[0], value[1]) if value[0] in data else None
    return value


def write_api(graph: Graph, data: Mapping[str, Any], ids: Mapping[Any, Any]) -> dict[str, Any]:
    """The prompt again, with new nodes in the place of old ones.

    Other nodes are as they were but for links to what was replaced.
    """
    followers: dict[Any, list[GraphNode]] = {}
    for node in graph.nodes.values():
        if node.at is not None:
            followers.setdefault(node.at.id, []).append(node)
    out = {}
    for name, raw in data.items():
        if name in graph.nodes:
            out[name] = _kept(graph, graph.nodes[name], raw, ids)
        for node in followers.get(name, []):
            out[ids[node.id]] = _new(graph, node, ids)
    return out


def _kept(graph: Graph, node: GraphNode, raw: Mapping[str, Any], ids: Mapping[Any, Any]) -> Any:
    changed = {name: link for name, link in node.links().items() if graph.now(link) != link}
    if not changed:
        return raw
    inputs = dict(raw["inputs"])
    for name, link in changed.items():
        now = graph.now(link)
        if now is None or now.node not in ids:
            del inputs[name]
        else:
            inputs[name] = [ids[now.node], now.slot]
    return {**raw, "inputs": inputs}


def _new(graph: Graph, node: GraphNode, ids: Mapping[Any, Any]) -> dict[str, Any]:
    inputs = {}
    for part in TARGETS[node.type].inputs:
        value = node.inputs.get(part.name, part.default)
        link = graph.now(value) if isinstance(value, Link) else None
        if link is not None and link.node in ids:
            inputs[part.name] = [ids[link.node], link.slot]
        elif part.widget:
            inputs[part.name] = part.default if isinstance(value, Link) else value
    return {"class_type": node.type, "inputs": inputs}
