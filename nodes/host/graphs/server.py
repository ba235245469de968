"""Old graphs at the server.

Prompts are converted before they are checked, and the page asks for a graph to be converted.

One setting, `VideoLDM.OldGraphs` in the host's settings, switches both off.
"""

from __future__ import annotations

import functools
import json
import logging
from pathlib import Path
from typing import Any

import folder_paths

import nodes

from ....temporal.errors import GraphError
from ...graphs.api import is_api
from ...graphs.convert import convert, is_old
from ...graphs.rules.hooks import RENAMED
from ...graphs.table import OLD_NODES
from ...graphs.ui_write import with_note
from .. import io
from ..files import MOTION_LORA, TEMPORAL_LAYERS, meant_name

logger = logging.getLogger(__name__)

NAMED = {  # the first widget of these is a file
    "VLDM_LoadTemporalLayers": ("file", TEMPORAL_LAYERS),
    "VLDM_LoadMotionLoRA": ("file", MOTION_LORA),
    "CheckpointLoaderSimple": ("ckpt_name", "checkpoints"),
}
SETTING = "VideoLDM.OldGraphs"
ROUTE = "/video_ldm/graphs/convert"
ONE_FOR_ONE = {
    **RENAMED,
    "ADE_EmptyLatentImageLarge": (
        "EmptyLatentImage",
        {name: name for name in ("width", "height", "batch_size")},
    ),
}


def installed(name: str) -> bool:
    """True if this ComfyUI has a node of a type."""
    return name in nodes.NODE_CLASS_MAPPINGS  # pyright: ignore[reportAttributeAccessIssue] our folder's name


def switched_on() -> bool:
    """True if old graphs are converted; the page keeps the setting in the host's file of settings."""
    path = Path(folder_paths.get_user_directory()) / "default" / "comfy.settings.json"
    try:
        settings = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return True
    return not isinstance(settings, dict) or settings.get(SETTING, True) is not False


def with_our_nodes(data: dict[str, Any]) -> dict[str, Any]:
    """Convert the prompt of a request to the host's queue.

    Only if it has nodes of AnimateDiff-Evolved and that pack is missing.
    """
    prompt = data.get("prompt")
    if (
        prompt is None
        or not is_api(prompt)
        or not any(
            node["class_type"] in OLD_NODES and is_old(node["class_type"], installed)
            for node in prompt.values()
        )
    ):
        return data
    if not switched_on():
        return data
    converted = convert(prompt, installed)
    logger.info(
        "A graph of AnimateDiff-Evolved was opened with Video LDM's nodes.\n%s", converted.report.text()
    )
    return {**data, "prompt": {name: _found_in_prompt(node) for name, node in converted.graph.items()}}


def _found_in_prompt(node: dict[str, Any]) -> dict[str, Any]:
    """A node whose file has the name that it has here."""
    if node["class_type"] not in NAMED:
        return node
    widget, folder = NAMED[node["class_type"]]
    found = _found(folder, node["inputs"].get(widget))
    return node if found is None else {**node, "inputs": {**node["inputs"], widget: found}}


def _found_in_graph(node: Any) -> Any:
    """Find old nodes in a graph as the page saves it."""
    values = node.get("widgets_values") if isinstance(node, dict) and node.get("type") in NAMED else None
    if not isinstance(values, list) or not values:
        return node
    found = _found(NAMED[node["type"]][1], values[0])
    return node if found is None else {**node, "widgets_values": [found, *values[1:]]}


def _found(folder: str, name: Any) -> str | None:
    return meant_name(folder, name) if isinstance(name, str) else None


def opened(graph: Any) -> dict[str, Any]:
    """Answer to the page for a graph.

    Whether anything is to convert, the graph with the report as a note, and the report.
    """
    if not switched_on() or any(installed(name) for name in OLD_NODES):
        return {"changed": False}
    try:
        converted = convert(graph, installed)
    except GraphError as error:
        return {"changed": False, "report": str(error)}
    if converted.graph is graph:
        return {"changed": False}
    text = converted.report.text()
    if is_api(graph):
        named = {name: _found_in_prompt(node) for name, node in converted.graph.items()}
        return {"changed": True, "graph": named, "report": text}
    named = {**converted.graph, "nodes": [_found_in_graph(node) for node in converted.graph["nodes"]]}
    return {"changed": True, "graph": with_note(named, text), "report": text}


@functools.cache
def open_doors() -> None:
    """Hang both on the host's server, if there is one; once, however often nodes are listed."""
    import server
    from aiohttp import web

    running = getattr(server.PromptServer, "instance", None)
    if running is None:
        return
    running.add_on_prompt_handler(with_our_nodes)

    @running.routes.post(ROUTE)
    async def answer(request: Any) -> Any:
        """Convert the graph of a request."""
        return web.json_response(opened(await request.json()))


async def offer_replacements() -> None:
    """Tell hosts that replace nodes themselves which old ones are one of theirs by another name."""
    if not hasattr(io, "NodeReplace"):
        return
    from comfy_api.latest import ComfyAPI

    api: Any = ComfyAPI()  # this part of it is newer than the oldest host
    for old, (new, names) in ONE_FOR_ONE.items():
        mapping = [{"new_id": new_name, "old_id": old_name} for new_name, old_name in names.items()]
        await api.node_replacement.register(
            io.NodeReplace(  # pyright: ignore[reportAttributeAccessIssue] newer than the oldest host
                new_node_id=new, old_node_id=old, input_mapping=mapping
            )
        )
