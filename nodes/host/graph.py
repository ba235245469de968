"""The graph around a node, as the host runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def ancestors(graph: Mapping[str, Any] | None, node: str | None, inputs: Sequence[str]) -> dict[str, Any]:
    """What leads to some inputs of a node: types, values and links of all nodes above, whatever their numbers are.

    Empty outside a graph. Equal for equal graphs, so it tells whether a model was made the same way before.
    """
    if not graph or node is None:
        return {}
    return {name: _origin(graph, graph[node]["inputs"].get(name)) for name in inputs}


def _origin(graph: Mapping[str, Any], value: Any) -> Any:
    if not (isinstance(value, list) and len(value) == 2 and value[0] in graph):
        return value
    node = graph[value[0]]
    inputs = {name: _origin(graph, part) for name, part in node["inputs"].items()}
    return {"type": node["class_type"], "output": value[1], "inputs": inputs}
