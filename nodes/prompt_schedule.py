"""Prompt Schedule: prompts that change along a clip."""

from __future__ import annotations

from collections.abc import Sequence

from ..temporal.sampling.prompt_schedule import (
    MODES,
    curves_of,
    frame_weights,
    shortened,
    weights_text,
)
from ..temporal.sampling.schedules.amount import numbers_of
from ..temporal.sampling.schedules.prompt_lines import parse_schedule
from ..temporal.sampling.schedules.quoted_schedule import is_quoted, parse_quoted, texts_at_frames, with_texts
from .host import Node, io
from .host.door import FloatPerFrame
from .host.latents import frame_rate
from .host.sampling.prompts import encode_schedule
from .host.search import search_aliases
from .host.shown import shown_curves
from .host.speed import USUAL
from .rare import rare
from .value_schedule import length_input, length_of

NUMBERS = ("pw_a", "pw_b", "pw_c", "pw_d")
MAX_CURVES = 32  # drawn, one for each of the first keyframes


class PromptSchedule(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_PromptSchedule",
            display_name="Prompt Schedule (prompt travel)",
            category="Video LDM/conditioning",
            **search_aliases("prompt travel, batch prompt schedule, fizznodes, keyframe prompts"),
            description="A prompt for every frame of a clip: written for some frames, mixed in between.",
            inputs=[
                io.Clip.Input("clip", tooltip="Text encoder of the checkpoint."),
                io.String.Input(
                    "prompts",
                    multiline=True,
                    dynamic_prompts=True,
                    default="0: a red circle\n7: a blue circle",
                    tooltip="One line for each keyframe: its frame, counted from 0, or its second, a colon "
                    "and the prompt, such as 12: a cat or 3s: a dog. On one line, a comma begins the next: "
                    "0: a cat, 8: a dog.",
                ),
                io.Int.Input(
                    "num_frames",
                    default=8,
                    min=1,
                    max=100000,
                    tooltip="Frames of the clip, as in the empty latent.",
                ),
                io.Combo.Input(
                    "interpolation",
                    options=list(MODES),
                    default="linear",
                    tooltip="Between keyframes: linear mixes evenly; slerp also keeps the strength of the "
                    "text; hold keeps each prompt until the next.",
                ),
                length_input(),
                _text_input("before", "before"),
                _text_input("after", "after"),
                *rare(*(_number_input(name) for name in NUMBERS), _fps_input()),
            ],
            outputs=[
                io.Conditioning.Output(
                    tooltip="A text per frame; connect it to positive of Video KSampler. The node shows "
                    "the weights."
                ),
                io.Conditioning.Output(
                    display_name="negative",
                    tooltip="What stands behind --neg in the prompts, per frame; for negative of Video "
                    "KSampler.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        clip: io.Clip.Type,
        prompts: str,
        num_frames: int,
        interpolation: str,
        latent: io.Latent.Type | None = None,
        before: str = "",
        after: str = "",
        fps: float = USUAL,
        **numbers: float | Sequence[float],
    ) -> io.NodeOutput:
        num_frames = length_of(latent, num_frames)
        parse = parse_quoted if is_quoted(prompts) else parse_schedule
        keyframes = parse(prompts, num_frames, frame_rate(latent or {}, fps))
        weights = frame_weights([frame for frame, _ in keyframes], num_frames, hold=interpolation == "hold")
        values = {name: numbers_of(numbers.get(name, 0.0)) for name in NUMBERS}
        sides = zip(*(with_texts(prompt, before, after) for _, prompt in keyframes), strict=True)
        made, lines = [], []
        for texts in sides:
            spelled, parts = texts_at_frames(texts, weights, values)
            keys = list(enumerate(spelled))
            made.append(encode_schedule(clip, keys, parts, interpolation == "slerp"))
            lines.append(weights_text(keys, parts))
        names = [f"{frame}: {shortened(prompt)}" for frame, prompt in keyframes[:MAX_CURVES]]
        curves = dict(zip(names, curves_of(weights, len(names)), strict=True))
        shown = {**shown_curves(curves, "frame"), "text": (lines[0],)}
        return io.NodeOutput(*made, ui=shown)


def _text_input(name: str, where: str) -> io.Input:
    return io.String.Input(
        name, default="", optional=True, tooltip=f"Text that stands {where} every prompt, such as a style."
    )


def _number_input(name: str) -> io.Input:
    return FloatPerFrame(
        name,
        default=0.0,
        min=-9999.0,
        max=9999.0,
        step=0.1,
        optional=True,
        tooltip="A number for the prompts, written there between backticks by its name; a list from Value "
        "Schedule is one for each frame.",
    )


def _fps_input() -> io.Input:
    return io.Float.Input(
        "fps",
        default=USUAL,
        min=0.1,
        max=240.0,
        step=0.1,
        round=0.001,
        optional=True,
        tooltip="Frames per second of the clip, for prompts at seconds such as 3s:, where latent carries "
        "none.",
    )
