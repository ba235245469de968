"""Prompt Schedule: prompts that change along a clip."""

from __future__ import annotations

from ..temporal.sampling.prompt_schedule import (
    MODES,
    curves_of,
    frame_weights,
    parse_schedule,
    shortened,
    weights_text,
)
from .host import Node, io
from .host.sampling.prompts import encode_schedule
from .host.search import search_aliases
from .host.shown import shown_curves

MAX_CURVES = 32  # drawn, one for each of the first keyframes


class PromptSchedule(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_PromptSchedule",
            display_name="Prompt Schedule",
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
                    tooltip="One line for each keyframe: its frame, counted from 0, a colon and the "
                    "prompt. On one line, a comma and a frame with its colon begin the next: 0: a "
                    "cat, 8: a dog.",
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
            ],
            outputs=[
                io.Conditioning.Output(
                    tooltip="A text per frame; connect it to positive of Video KSampler. The node shows "
                    "the weights."
                )
            ],
        )

    @classmethod
    def execute(cls, clip: io.Clip.Type, prompts: str, num_frames: int, interpolation: str) -> io.NodeOutput:
        keyframes = parse_schedule(prompts, num_frames)
        weights = frame_weights([frame for frame, _ in keyframes], num_frames, hold=interpolation == "hold")
        conditioning = encode_schedule(clip, keyframes, weights, interpolation == "slerp")
        names = [f"{frame}: {shortened(prompt)}" for frame, prompt in keyframes[:MAX_CURVES]]
        curves = dict(zip(names, curves_of(weights, len(names)), strict=True))
        shown = {**shown_curves(curves, "frame"), "text": (weights_text(keyframes, weights),)}
        return io.NodeOutput(conditioning, ui=shown)
