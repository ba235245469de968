"""Saved workflows (UI format) as graphs the server takes (API format).

ComfyUI's own converter lives in its browser frontend. This one serves the workflows of this pack: nodes,
links, notes, positional widget values and bypassed nodes. Values that a newer server has more take its
defaults, as in its own editor. Whatever it does not know (muted nodes, reroutes, subgraphs) it refuses.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

NOTES = ("Note", "MarkdownNote")
WIDGETS = {"INT": int, "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool, "COMBO": str}
SEEDS = ("seed", "noise_seed")
EMPTY = ("EmptyLatentImage", "VLDM_EmptyClip")  # clips to make
ALWAYS, BYPASSED = 0, 4  # modes of a node; a muted one has another


@dataclass(frozen=True)
class Widget:
    """A saved value of a node; without a name where the server does not know it."""

    name: str | None
    types: type | tuple[type, ...] = str
    has_default: bool = False
    default: Any = None


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


def set_length(graph: dict[str, dict[str, Any]], frames: int, **size: int) -> None:
    """Set the number of frames and the size of the clip that a graph makes. Raises GraphError without one."""
    clips = [node for node in graph.values() if node["class_type"] in EMPTY]
    if not clips:
        raise GraphError(f"The workflow has none of {', '.join(EMPTY)}.")
    for node in clips:
        inputs = node["inputs"]
        seconds = {"seconds": frames / inputs["fps"]} if "fps" in inputs else {"batch_size": frames}
        inputs.update(seconds, **size)


def without_node(graph: dict[str, dict[str, Any]], key: str) -> dict[str, dict[str, Any]]:
    """The graph with a node bypassed.

    Who took its first output takes its first link instead, if it has one.
    """
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
    """Start of each link, node and output.

    A link from a bypassed node starts where that node gets what it hands on.
    """
    begins = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    bypassed = {str(node["id"]): node for node in workflow["nodes"] if node.get("mode") == BYPASSED}

    def source(link: int | None) -> list[Any] | None:
        if link is None or begins[link][0] not in bypassed:
            return begins.get(link)
        name, slot = begins[link]
        return source(_handed_on(bypassed[name], slot))

    return {link: found for link in begins if (found := source(link))}


def _handed_on(node: dict[str, Any], slot: int) -> int | None:
    """The link that a bypassed node's output hands on.

    That of the input beside it, or of the first one, of its type.
    """
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
    """Widget values by input name; saved by position, each seed followed by what happens to it after a run.

    Raises GraphError for values that do not fit; those that a newer server has more at the end may be
    missing.
    """
    widgets = list(_widgets(schema))
    values = node.get("widgets_values", [])
    count = len(values) if isinstance(values, list) else len(widgets) + 1
    whole = count == len(widgets) or (
        all(isinstance(value, widget.types) for value, widget in zip(values, widgets, strict=False))
        and all(widget.has_default for widget in widgets[count:])
    )
    if count > len(widgets) or not whole:
        raise GraphError(
            f"Node {node['id']} ({node['type']}) holds the values {values!r}, its inputs are "
            f"{[widget.name or '(control)' for widget in widgets]}; open the workflow in ComfyUI and save it "
            "again."
        )
    values = [*values, *(widget.default for widget in widgets[count:])]
    return {widget.name: value for widget, value in zip(widgets, values, strict=True) if widget.name}


def _widgets(schema: dict[str, Any]) -> Iterator[Widget]:
    """Saved values in their order."""
    for group in ("required", "optional"):
        given = schema["input"].get(group, {})
        for name, (kind, *rest) in given.items():
            options = rest[0] if rest else {}
            if not (isinstance(kind, list) or kind in WIDGETS) or options.get("forceInput"):
                continue
            # the first choice is the default
            choices = kind if isinstance(kind, list) else options.get("options", [])
            types = str if isinstance(kind, list) else WIDGETS[kind]
            default = options.get("default", choices[0] if choices else None)
            yield Widget(name, types, bool(choices) or "default" in options, default)
            if options.get("control_after_generate", kind == "INT" and name in SEEDS):
                yield Widget(None)
        for _, *rest in given.values():  # a button for files comes behind all others
            if any(part.get(f"{medium}_upload") for part in rest for medium in ("image", "video", "audio")):
                yield Widget(None)
