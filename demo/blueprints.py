"""`python -m video_ldm.demo.blueprints`: graphs of `workflows/` as blueprints, one node each.

ComfyUI offers `subgraphs/*.json` of a pack among the nodes. What a blueprint is made of stays a graph inside,
with the values of the graph that it comes from; run this again when one of them changes.
"""

from __future__ import annotations

import copy
import json
import uuid
from dataclasses import dataclass
from typing import Any

from . import environment

SUBGRAPHS = environment.REPO / "subgraphs"
WORKFLOWS = environment.REPO / "workflows"
INPUTS, OUTPUTS = -10, -20  # the page's numbers of the two ends of a subgraph
LINKED = "-1"  # the page's name for a widget that feeds several inner nodes, or one
CONTROL = "control_after_generate"
# Widgets of nodes in the order of their saved values, as far as they are needed here.
WIDGETS = {
    "CheckpointLoaderSimple": ("ckpt_name",),
    "CLIPTextEncode": ("text",),
    "EmptyLatentImage": ("width", "height", "batch_size"),
    "VLDM_EmptyClip": ("width", "height", "seconds", "fps"),
    "VLDM_LoadTemporalLayers": ("file", "strength"),
    "VLDM_LoadVideoUpscaler": ("file", "steps"),
    "VLDM_VideoKSampler": ("seed", CONTROL, "steps", "cfg"),
}
LAYERS, SAMPLER = "VLDM_LoadTemporalLayers", "VLDM_VideoKSampler"
EMPTY_CLIP, LATENT = "VLDM_EmptyClip", "Clip: batch_size = frames"


@dataclass(frozen=True)
class Shown:
    """A value on the blueprint's face: an inner node by its title or type, and its widget."""

    name: str
    node: str
    widget: str
    kind: str


PROMPTS = (
    Shown("prompt", "Prompt", "text", "STRING"),
    Shown("negative", "Negative prompt", "text", "STRING"),
)
SIZE = (Shown("width", LATENT, "width", "INT"), Shown("height", LATENT, "height", "INT"))
CLIP = (
    Shown("width", EMPTY_CLIP, "width", "INT"),
    Shown("height", EMPTY_CLIP, "height", "INT"),
    Shown("seconds", EMPTY_CLIP, "seconds", "FLOAT"),
    Shown("fps", EMPTY_CLIP, "fps", "FLOAT"),
)
FRAMES = Shown("frames", LATENT, "batch_size", "INT")
SAMPLING = (Shown("steps", SAMPLER, "steps", "INT"), Shown("cfg", SAMPLER, "cfg", "FLOAT"))
MODELS = (
    Shown("checkpoint", "CheckpointLoaderSimple", "ckpt_name", "COMBO"),
    Shown("temporal layers", LAYERS, "file", "COMBO"),
)


@dataclass(frozen=True)
class Blueprint:
    """A graph, nodes of it that stay outside or are left out, and values on its face."""

    graph: str
    about: str
    shown: tuple[Shown, ...]
    outside: tuple[str, ...] = ("SaveVideo",)
    left_out: tuple[str, ...] = ()
    seed: str = SAMPLER


BLUEPRINTS = {
    "Text to Video (Video LDM)": Blueprint(
        "text_to_video",
        "A clip from a prompt: any Stable Diffusion checkpoint with temporal layers made for it.",
        (*PROMPTS, *CLIP, *SAMPLING, *MODELS),
    ),
    "Picture to Video (Video LDM)": Blueprint(
        "image_to_video",
        "A clip that begins with a picture, which comes out exactly.",
        (*PROMPTS, *SIZE, FRAMES, *SAMPLING, *MODELS),
        ("SaveVideo", "LoadImage"),
    ),
    "Keyframes to 113 Frames (Video LDM)": Blueprint(
        "keyframes_to_113_frames",
        "Keyframes from a prompt, and the frames between them in two passes: 8 become 113.",
        (
            *PROMPTS,
            *SIZE,
            Shown("keyframes", LATENT, "batch_size", "INT"),
            *SAMPLING,
            *MODELS,
            Shown("layers in between", "Layers for frames in between", "file", "COMBO"),
        ),
    ),
    "Upscale a Film (Video LDM)": Blueprint(
        "upscale_clip",
        "A film with four times the sides, its sound and its frame rate.",
        (
            Shown("upscaler", "VLDM_LoadVideoUpscaler", "file", "COMBO"),
            Shown("steps", "VLDM_LoadVideoUpscaler", "steps", "INT"),
        ),
        ("SaveVideo", "LoadVideo"),
        ("ImageScale",),
        seed="",
    ),
}


def main() -> None:
    """Write all blueprints."""
    SUBGRAPHS.mkdir(exist_ok=True)
    for name in BLUEPRINTS:
        path = SUBGRAPHS / f"{name}.json"
        path.write_text(written(name), "utf-8")
        print(f"{path.name}: {path.stat().st_size // 1024} KB")


def written(name: str) -> str:
    """Text of a blueprint's file."""
    plan = BLUEPRINTS[name]
    graph = json.loads((WORKFLOWS / f"{plan.graph}.json").read_text("utf-8"))
    return json.dumps(blueprint(name, plan, graph), indent=1, ensure_ascii=False) + "\n"


def blueprint(name: str, plan: Blueprint, graph: dict[str, Any]) -> dict[str, Any]:
    """A graph as one node: what the page saves for Publish Subgraph."""
    number = str(uuid.uuid5(uuid.NAMESPACE_URL, name))
    inside = Inside(name, plan, graph)
    face = _face(name, number, plan, inside)
    return {
        "revision": 0,
        "last_node_id": face["id"],
        "last_link_id": 0,
        "nodes": [face],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [_subgraph(name, number, plan, inside)]},
        "extra": {},
    }


class Inside:
    """Nodes and links inside of a blueprint, and its slots."""

    def __init__(self, name: str, plan: Blueprint, graph: dict[str, Any]) -> None:
        outside = {node["id"] for node in graph["nodes"] if node["type"] in plan.outside}
        gone = {node["id"] for node in graph["nodes"] if node["type"] in (*plan.left_out, "MarkdownNote")}
        kept = [node for node in graph["nodes"] if node["id"] not in outside | gone]
        self.name, self.last_link = name, graph["last_link_id"]
        self.nodes: dict[int, dict[str, Any]] = {node["id"]: copy.deepcopy(node) for node in kept}
        self.groups = [group for group in graph["groups"] if any(_is_in(node, group) for node in kept)]
        self.links: list[dict[str, Any]] = []
        self.inputs: list[dict[str, Any]] = []
        self.outputs: list[dict[str, Any]] = []
        for node in self.nodes.values():
            for slot in node["outputs"]:
                slot["links"] = []
            for slot in node["inputs"]:
                slot["link"] = None
        for link in _without(graph["links"], gone, {node["id"]: node for node in graph["nodes"]}):
            self._carry_over(link)
        for shown in plan.shown:
            self._show(shown)

    def _carry_over(self, link: list[Any]) -> None:
        number, origin, origin_slot, target, target_slot, kind = link
        if origin in self.nodes and target in self.nodes:
            self._link(number, (origin, origin_slot), (target, target_slot), kind)
        elif target in self.nodes:
            name = self.nodes[target]["inputs"][target_slot]["name"]
            self._link(number, (INPUTS, len(self.inputs)), (target, target_slot), kind)
            self.inputs.append(self._slot("in", name, kind, number))
        elif origin in self.nodes:
            name = self.nodes[origin]["outputs"][origin_slot]["name"]
            self._link(number, (origin, origin_slot), (OUTPUTS, len(self.outputs)), kind)
            self.outputs.append(self._slot("out", name, kind, number))

    def _show(self, shown: Shown) -> None:
        """Feed a widget of an inner node from a slot of the blueprint."""
        node = self.node(shown.node)
        self.last_link += 1
        slot = {"name": shown.widget, "type": shown.kind, "widget": {"name": shown.widget}, "link": None}
        node["inputs"].append(slot)
        target = (node["id"], len(node["inputs"]) - 1)
        self._link(self.last_link, (INPUTS, len(self.inputs)), target, shown.kind)
        self.inputs.append(self._slot("in", shown.name, shown.kind, self.last_link))

    def node(self, called: str) -> dict[str, Any]:
        """The first inner node with a title, or without one of a type."""
        return next(node for node in self.nodes.values() if node.get("title", node["type"]) == called)

    def _link(self, number: int, origin: tuple[int, int], target: tuple[int, int], kind: str) -> None:
        ends = dict(
            zip(("origin_id", "origin_slot", "target_id", "target_slot"), (*origin, *target), strict=True)
        )
        self.links.append({"id": number, **ends, "type": kind})
        if origin[0] in self.nodes:
            self.nodes[origin[0]]["outputs"][origin[1]]["links"].append(number)
        if target[0] in self.nodes:
            self.nodes[target[0]]["inputs"][target[1]]["link"] = number

    def _slot(self, side: str, name: str, kind: str, link: int) -> dict[str, Any]:
        number = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.name}/{side}/{name}"))
        return {"id": number, "name": name, "type": kind, "linkIds": [link]}


def _without(links: list[list[Any]], gone: set[int], nodes: dict[int, dict[str, Any]]) -> list[list[Any]]:
    """Links as if nodes were bypassed: who took a node's output takes what its first link brings."""
    origins = {link[0]: (link[1], link[2]) for link in links}

    def source(node: int, slot: int) -> tuple[int, int]:
        if node not in gone:
            return node, slot
        return source(*origins[next(given["link"] for given in nodes[node]["inputs"] if given["link"])])

    kept = [link for link in links if link[3] not in gone]
    return [[number, *source(origin, slot), *rest] for number, origin, slot, *rest in kept]


def _is_in(node: dict[str, Any], group: dict[str, Any]) -> bool:
    left, top, width, height = group["bounding"]
    return left <= node["pos"][0] <= left + width and top <= node["pos"][1] <= top + height


def _face(name: str, number: str, plan: Blueprint, inside: Inside) -> dict[str, Any]:
    """The node that an artist sees."""
    values = {shown.name: shown for shown in plan.shown}
    proxies = [[LINKED, shown.name] for shown in plan.shown]
    saved: list[Any] = []
    for shown in plan.shown:
        node = inside.node(shown.node)
        saved.append(node["widgets_values"][WIDGETS[node["type"]].index(shown.widget)])
    if plan.seed:
        proxies += [[str(inside.node(plan.seed)["id"]), widget] for widget in ("seed", CONTROL)]
        saved += [None, None]
    inputs = [{"name": slot["name"], "type": slot["type"], "link": None} for slot in inside.inputs]
    for slot in inputs:
        if slot["name"] in values:
            slot["widget"] = {"name": slot["name"]}
    return {
        "id": max(inside.nodes) + 1,
        "type": number,
        "pos": [0, 0],
        "size": [400, 120 + 30 * len(proxies) + 100 * sum(shown.kind == "STRING" for shown in plan.shown)],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": inputs,
        "outputs": [{"name": slot["name"], "type": slot["type"], "links": []} for slot in inside.outputs],
        "title": name,
        "properties": {"proxyWidgets": proxies},
        "widgets_values": saved,
    }


def _subgraph(name: str, number: str, plan: Blueprint, inside: Inside) -> dict[str, Any]:
    right = max(node["pos"][0] + node["size"][0] for node in inside.nodes.values())
    state = {
        "lastGroupId": len(inside.groups),
        "lastNodeId": max(inside.nodes),
        "lastLinkId": inside.last_link,
    }
    return {
        "id": number,
        "version": 1,
        "state": {**state, "lastRerouteId": 0},
        "revision": 0,
        "config": {},
        "name": name,
        "inputNode": {"id": INPUTS, "bounding": [-200, 100, 160, 40 + 20 * len(inside.inputs)]},
        "outputNode": {"id": OUTPUTS, "bounding": [right + 80, 100, 120, 60]},
        "inputs": inside.inputs,
        "outputs": inside.outputs,
        "widgets": [],
        "nodes": list(inside.nodes.values()),
        "groups": inside.groups,
        "links": inside.links,
        "extra": {},
        "category": "Video LDM",
        "description": plan.about,
    }


if __name__ == "__main__":
    main()
