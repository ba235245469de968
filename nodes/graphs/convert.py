"""Graphs of AnimateDiff-Evolved into ours: any format in, the same format out, and a report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...temporal.errors import GraphError
from .api import is_api, read_api, write_api
from .graph import BYPASSED, GraphNode
from .report import Report
from .rules import animated, films, hooks, loaders, prompts, settings
from .table import NEIGHBOURS, OLD_NODES, REFUSED
from .ui import is_ui, levels, read_level, slots_of
from .ui_write import LevelWriter
from .work import Installed, Work, passed

Rule = Callable[[Work, GraphNode], None]
# Nodes with an output that others understand; the rest are options that these read.
RULES: dict[str, Rule] = {
    "CheckpointLoaderSimpleWithNoiseSelect": loaders.checkpoint,
    "ADE_EmptyLatentImageLarge": loaders.empty_latent,
    "ADE_FloatToFloats": prompts.floats,
    **dict.fromkeys(("ADE_ValueScheduling", "ADE_ValueSchedulingLatents"), prompts.values),
    **dict.fromkeys(("BatchValueSchedule", "BatchValueScheduleLatentInput"), prompts.values),
    **dict.fromkeys(("ADE_PromptScheduling", "ADE_PromptSchedulingLatents"), prompts.scheduled),
    **dict.fromkeys(("BatchPromptSchedule", "BatchPromptScheduleLatentInput"), prompts.batch_prompts),
    "ADE_UpscaleAndVAEEncode": animated.scaled_image,
    "ADE_AnimateDiffLoaderGen1": loaders.gen1,
    "ADE_AnimateDiffLoaderWithContext": loaders.gen1,
    **dict.fromkeys(("AnimateDiffLoaderV1", "ADE_AnimateDiffLoaderV1Advanced"), loaders.v1),
    "ADE_UseEvolvedSampling": loaders.gen2,
    "ADE_AnimateDiffUnload": loaders.unload,
    "ADE_RescaleCFGMultival": settings.rescale,
    "ADE_PerturbedAttentionGuidanceMultival": settings.perturbed,
    **dict.fromkeys(hooks.RENAMED, hooks.renamed),
    **dict.fromkeys(hooks.REGISTERED, hooks.registered),
    **dict.fromkeys(("ADE_AnimateDiffCombine", "VHS_VideoCombine"), films.film),
}
PREVIEWED = ("ADE_AnimateDiffCombine", "VHS_VideoCombine")  # whose last value is their preview
ORDER = {name: number for number, name in enumerate(RULES)}


@dataclass(frozen=True)
class Converted:
    """A graph after its conversion, in the format that it came in, and what was done."""

    graph: Any
    report: Report


def nothing_installed(name: str) -> bool:
    """The answer where no pack is known to be there."""
    return False


def convert(data: Any, installed: Installed = nothing_installed) -> Converted:
    """Convert a graph. `installed`: whether a type of node is there, which is then left as it is.

    Where nothing is to be converted, the graph that comes out is the one that went in.

    Raises:
        GraphError: something that is no graph.
    """
    report = Report()
    if isinstance(data, Mapping) and is_api(data.get("prompt")):  # as scripts send it to the server
        inner = _convert_api(data["prompt"], report, installed)
        return Converted({**data, "prompt": inner} if report.changed else data, report)
    if is_ui(data):
        return Converted(_convert_ui(data, report, installed), report)
    if is_api(data):
        return Converted(_convert_api(data, report, installed), report)
    raise GraphError(
        "This is not a graph of ComfyUI: it has neither nodes and links, as the page saves them, nor ids "
        "with a class_type, as scripts send them. Save the graph in ComfyUI again."
    )


def _convert_api(data: Mapping[str, Any], report: Report, installed: Installed) -> Any:
    work = Work(read_api(data), report, installed)
    return write_api(work.graph, data, work.ids(text=True)) if run_rules(work) else data


def _convert_ui(data: Mapping[str, Any], report: Report, installed: Installed) -> Any:
    written = [_convert_level(level, report, installed) for level in levels(data)]
    if not report.lines["became"] and not report.lines["lost"]:
        return data
    root, *subgraphs = written
    if not subgraphs:
        return root
    by_id = {level.get("id"): level for level in subgraphs}
    kept = [
        by_id.get(level.get("id"), level) if isinstance(level, Mapping) else level
        for level in data["definitions"]["subgraphs"]
    ]
    return {**root, "definitions": {**data["definitions"], "subgraphs": kept}}


def _convert_level(level: Mapping[str, Any], report: Report, installed: Installed) -> Mapping[str, Any]:
    graph, unknown = read_level(level)
    work = Work(graph, report, installed)
    for name, more in unknown.items():
        if is_old(graph.nodes[name].type, installed) and graph.nodes[name].type not in PREVIEWED:
            work.differs(graph.nodes[name], f"its last {more} widgets are not known and were left out.")
    if not run_rules(work):
        return level
    return LevelWriter(graph, level, work.ids(text=False)).written()


def is_old(name: str, installed: Installed) -> bool:
    """True if a node is one that is converted, and its pack is missing."""
    return (name in OLD_NODES or name in NEIGHBOURS) and not installed(name)


def run_rules(work: Work) -> bool:
    """Replace every old node of a graph; whether there were any."""
    old = [node for node in work.old_nodes() if is_old(node.type, work.installed)]
    if not any(node.type in OLD_NODES for node in old):
        return False
    for node in sorted((node for node in old if node.type in RULES), key=lambda node: ORDER[node.type]):
        RULES[node.type](work, node)
    left = [node for node in work.old_nodes() if is_old(node.type, work.installed)]
    for node in left:
        _leave_out(work, node)
    work.forget({node.id for node in left} | (work.used - {node.id for node in left}) & _options(work))
    return True


def _options(work: Work) -> set[Any]:
    """Nodes that were read and are needed no more, beside the old pack's own."""
    return {
        node.id for node in work.old_nodes() if node.type == prompts.COUNTER and not work.installed(node.type)
    }


def _leave_out(work: Work, node: GraphNode) -> None:
    """An old node that nothing converts: its outputs lead past it where an input has the same type."""
    row = OLD_NODES.get(node.type) or NEIGHBOURS[node.type]
    if node.id not in work.used:
        if row.how == REFUSED:
            work.lost(node, row.note)
        else:
            work.lost(node, "it was connected to nothing that could be converted and was left out.")
    mode, node.mode = node.mode, BYPASSED
    slots = range(len(slots_of(node.raw, "outputs")) or 1)
    links = [passed(node, slot) for slot in slots]
    node.mode = mode
    work.replace(node, *links)
