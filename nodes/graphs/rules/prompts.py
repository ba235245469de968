"""Prompts and values that change along a clip: Prompt Schedule and Value Schedule."""

from __future__ import annotations

import re
from typing import Any

from ..graph import GraphNode, Link
from ..work import Work

INTERPOLATIONS = {"lerp": "linear", "slerp": "slerp"}
FRAME = re.compile(r'"?(\d+)[\d.:\- ]*"?\s*[:=]')
PLACES = ("pw_a", "pw_b", "pw_c", "pw_d")
COUNTER = "VHS_GetLatentCount"
COMPOUND = (
    "prompts are mixed along a straight line; that pack's weights ran ahead of it (0.525 at frame 4 "
    "of 16 where a line gives 0.267)."
)


def scheduled(work: Work, node: GraphNode) -> None:
    """That pack's Prompt Scheduling."""
    text = work.given(node, "prompts")
    text, values = _replaced(work, node, text)
    interpolation = INTERPOLATIONS.get(str(work.fixed(node, "tensor_interp")), "linear")
    made = work.add(
        "VLDM_PromptSchedule",
        node,
        clip=node.inputs.get("clip"),
        prompts=text,
        interpolation=interpolation,
        **_length(work, node, "max_length", text),
        **_texts(work, node, "prepend_text", "append_text"),
        **values,
    )
    work.became(node, "Prompt Schedule")
    work.differs(node, COMPOUND)
    latent = node.inputs.get("latent")
    work.replace(node, made, latent if isinstance(latent, Link) else None)


def _replaced(work: Work, node: GraphNode, text: Any) -> tuple[Any, dict[str, Any]]:
    """The prompts with the names of values that ours knows, and the values."""
    found = work.chain(work.option(node, "values_replace"), "prev_replace")
    values = {}
    for place, part in zip(PLACES, found, strict=False):
        key = work.fixed(part, "value_key")
        if isinstance(text, str) and key:
            text = text.replace(f"`{key}`", f"`{place}`")
        values[place] = work.given(part, "floats")
        work.became(part, f"input {place} of Prompt Schedule")
    for part in found[len(PLACES) :]:
        work.lost(part, "Prompt Schedule takes four values; write this one into the prompts.")
    return text, values


def _texts(work: Work, node: GraphNode, before: str, after: str) -> dict[str, Any]:
    texts = {"before": work.given(node, before), "after": work.given(node, after)}
    return {name: text for name, text in texts.items() if text}


def _length(work: Work, node: GraphNode, name: str, text: Any) -> dict[str, Any]:
    """Number of frames: a number, a link, or the clip itself."""
    for latent in ("latent", "num_latents"):
        if isinstance(node.inputs.get(latent), Link):
            return {"latent": node.inputs[latent]}
    value = work.given(node, name)
    if isinstance(value, Link):
        counter, _ = work.source(value)
        if counter is not None and counter.type == COUNTER and not work.installed(COUNTER):
            work.used.add(counter.id)
            work.became(counter, "nothing: the schedule reads the length of the clip itself")
            return {"latent": counter.inputs.get("latents")}
        return {"num_frames": value}
    if not value:
        value = 1 + max(
            (int(frame) for frame in FRAME.findall(text if isinstance(text, str) else "")), default=0
        )
    return {"num_frames": int(value)}


def values(work: Work, node: GraphNode) -> None:
    """Values that change along a clip, of that pack and of FizzNodes."""
    fizz = node.type.startswith("Batch")
    text = work.given(node, "text" if fizz else "values")
    length = _length(work, node, "max_frames" if fizz else "max_length", text)
    made = work.add("VLDM_ValueSchedule", node, values=text, **length)
    work.became(node, "Value Schedule")
    whole = Link(made.node, 1)
    latent = node.inputs.get("num_latents")
    work.replace(
        node,
        *(
            (made, whole, latent if isinstance(latent, Link) else None)
            if fizz
            else (made, made, whole, whole)
        ),
    )


def floats(work: Work, node: GraphNode) -> None:
    """A node that only renamed the type of a list."""
    value = node.inputs.get("FLOAT")
    work.became(node, "nothing: lists of numbers need no other type here")
    work.replace(node, value if isinstance(value, Link) else None)


def batch_prompts(work: Work, node: GraphNode) -> None:
    """FizzNodes' Batch Prompt Schedule."""
    text = work.given(node, "text")
    weights = {place: work.given(node, place) for place in PLACES}
    made = work.add(
        "VLDM_PromptSchedule",
        node,
        clip=node.inputs.get("clip"),
        prompts=text,
        **_length(work, node, "max_frames", text),
        **_texts(work, node, "pre_text", "app_text"),
        **{place: value for place, value in weights.items() if value is not None},
    )
    work.became(node, "Prompt Schedule")
    latent = node.inputs.get("num_latents")
    work.replace(node, made, Link(made.node, 1), latent if isinstance(latent, Link) else None)
