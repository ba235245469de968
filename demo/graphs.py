"""Saved workflows (UI format) as graphs the server takes (API format).

ComfyUI's own converter lives in its browser frontend. This one serves the workflows of this pack: nodes,
links, notes, positional widget values and bypassed nodes. Whatever it does not know (muted nodes, reroutes,
subgraphs) it refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

NOTES = ("Note", "MarkdownNote")
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
SEEDS = ("seed", "noise_seed")
ALWAYS, BYPASSED = 0, 4  # modes of a node; a muted one has another


class GraphError(ValueError):
    """A workflow cannot be converted or lacks a node."""


def to_api(workflow: dict[str, Any], object_info: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """API-format graph of a UI-format workflow; `object_info` is the server's. Raises GraphError."""
    if workflow.get("definitions", {}).get("subgraphs"):
        raise GraphError("The workflow holds subgraphs; unpack them and save it again.")
    sources = _sources(workflow)
    graph = {}
    for node in workflow["nodes"]:
        if node["type"] in NOTES or node.get("mode") == BYPASSED:
            continue
        _check(node, object_info)
        schema = object_info[node["type"]]
        links = {slot["name"]: source for slot in node["inputs"] if (source := sources.get(slot.get("link")))}
        title = node.get("title", schema["display_name"])
        inputs = {**_widget_values(node, schema), **links}
        graph[str(node["id"])] = {"class_type": node["type"], "inputs": inputs, "_meta": {"title": title}}
    return graph


def node_titled(graph: dict[str, dict[str, Any]], title: str) -> dict[str, Any]:
    """Inputs of the first node whose title starts with `title`. Raises GraphError."""
    for node in graph.values():
        if node["_meta"]["title"].startswith(title):
            return node["inputs"]
    raise GraphError(f"The workflow has no node titled {title!r}.")


def node_of_type(graph: dict[str, dict[str, Any]], class_type: str) -> dict[str, Any]:
    """Inputs of the first node of a type. Raises GraphError."""
    for node in graph.values():
        if node["class_type"] == class_type:
            return node["inputs"]
    raise GraphError(f"The workflow has no {class_type} node.")


def without_node(graph: dict[str, dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    """The graph with a node bypassed: who took its first output takes its first link instead, if it has
    one."""
    links = [value for value in graph[key]["inputs"].values() if isinstance(value, list)]
    kept = {}
    for name, node in graph.items():
        inputs = {
            field: links[0] if links and value == [key, 0] else value
            for field, value in node["inputs"].items()
        }
        kept[name] = {
            **node,
            "inputs": {field: value for field, value in inputs.items() if value != [key, 0]},
        }
    del kept[key]
    return kept


def _sources(workflow: dict[str, Any]) -> dict[int, list[Any]]:
    """Where each link begins, node and output; a link from a bypassed node where that node gets what it hands
    on."""
    begins = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    bypassed = {str(node["id"]): node for node in workflow["nodes"] if node.get("mode") == BYPASSED}

    def source(link: int | None) -> list[Any] | None:
        if link is None or begins[link][0] not in bypassed:
            return begins.get(link)
        name, slot = begins[link]
        return source(_handed_on(bypassed[name], slot))

    return {link: found for link in begins if (found := source(link))}


def _handed_on(node: dict[str, Any], slot: int) -> int | None:
    """The link that a bypassed node's output hands on: that of the input beside it, or of the first one, of
    its type."""
    candidates = [*node["inputs"][slot : slot + 1], *node["inputs"]]
    kind = node["outputs"][slot]["type"]
    return next((given["link"] for given in candidates if given["type"] == kind), None)


def _check(node: dict[str, Any], object_info: dict[str, Any]) -> None:
    name = f"Node {node['id']} ({node['type']})"
    if node["type"] not in object_info:
        raise GraphError(f"{name} is not a node type of the server; is its pack installed?")
    if node.get("mode", ALWAYS) != ALWAYS:
        raise GraphError(f"{name} is muted; enable, bypass or delete it and save the workflow again.")


def _widget_values(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Widget values by input name; saved by position, each seed followed by what happens to it after a
    run."""
    names = list(_widgets(schema))
    values = node.get("widgets_values", [])
    if not isinstance(values, list) or len(values) != len(names):
        raise GraphError(
            f"Node {node['id']} ({node['type']}) holds the values {values!r}, its inputs are "
            f"{[name or '(control)' for name in names]}; open the workflow in ComfyUI and save it again."
        )
    return {name: value for name, value in zip(names, values, strict=True) if name is not None}


def _widgets(schema: dict[str, Any]) -> Iterator[str | None]:
    """Input names in the order of saved values; None for a value that the server does not know."""
    for group in ("required", "optional"):
        for name, (kind, *rest) in schema["input"].get(group, {}).items():
            options = rest[0] if rest else {}
            if not (isinstance(kind, list) or kind in WIDGETS) or options.get("forceInput"):
                continue
            yield name
            if (kind == "INT" and name in SEEDS) or options.get("control_after_generate"):
                yield None
            if any(options.get(f"{medium}_upload") for medium in ("image", "video", "audio")):
                yield None
