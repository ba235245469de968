"""The graph around a node, as the host runs it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from comfy_execution.graph import DynamicPrompt
from comfy_execution.graph_utils import is_link


def ancestors(graph: DynamicPrompt | None, node: str | None, inputs: Sequence[str]) -> dict[str, Any]:
    """What leads to some inputs of a node: types, values and links of all nodes above, whatever their numbers are.

    Nodes that others made while the graph runs are among them. Empty outside a graph. Equal for equal graphs, so it tells
    whether a model was made the same way before.
    """
    if graph is None or node is None or not graph.has_node(node):
        return {}
    return {name: _origin(graph, graph.get_node(node)["inputs"].get(name)) for name in inputs}


def _origin(graph: DynamicPrompt, value: Any) -> Any:
    if not (is_link(value) and graph.has_node(value[0])):
        return value
    node = graph.get_node(value[0])
    inputs = {name: _origin(graph, part) for name, part in node["inputs"].items()}
    return {"type": node["class_type"], "output": value[1], "inputs": inputs}


def written(origin: Any) -> str:
    """A graph from `ancestors` as text; a value that a node put there in place of a link is equal to no other."""
    return json.dumps(origin, sort_keys=True, default=lambda _: uuid4().hex)
