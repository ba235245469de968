"""Latent Interpolate: keyframes to a clip four or sixteen times as dense."""

from __future__ import annotations

from typing import Any

from .host import Node, io
from .host.graph import leading_to
from .host.latents import FPS_KEY
from .host.sampling.clip import SamplerSettings
from .host.sampling.interpolate import METHODS, Interpolation, PromptedModel, interpolate
from .host.sampling.known_images import keyframes_of
from .host.sampling.prompts import MotionPrompt
from .host.search import search_aliases
from .host.speed import carrying
from .rare import rare
from .sample import (
    carried_fps_input,
    context_guidance_input,
    motion_prompt_input,
    sampler_inputs,
    seed_input,
)

STILL = 0.35  # by the toy world: its grounds are still, its shapes are not


class LatentInterpolate(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_LatentInterpolate",
            display_name="Latent Interpolate (tween, in-between)",
            category="Video LDM/latent",
            **search_aliases("frame interpolation, inbetween, tween, slow motion, rife, film, keyframes"),
            description="Makes the frames between keyframes, three for each pair: 8 keyframes become 29 "
            "frames, and 113 in two passes. Given keyframes stay exactly as they are.",
            inputs=[
                *_keyframe_inputs(),
                *_interpolation_inputs(),
                *sampler_inputs(seed_input(changes=False)),
                *rare(*_blend_inputs()),
                *_model_inputs(),
            ],
            outputs=[
                io.Latent.Output(
                    tooltip="The dense clip with its frame rate; connect it to Temporal VAE Decode."
                ),
                io.Float.Output(
                    display_name="fps", tooltip="Frames per second of the dense clip, for Create Video."
                ),
            ],
            hidden=[io.Hidden.dynprompt, io.Hidden.unique_id],
        )

    @classmethod
    def execute(
        cls,
        method: str,
        passes: int,
        loop: bool,
        fps: float,
        pinned_denoise: float,
        cut_threshold: float,
        learned_denoise: float = 1.0,
        hold_still: float = STILL,
        samples: io.Latent.Type | None = None,
        images: io.Image.Type | None = None,
        images_2: io.Image.Type | None = None,
        vae: io.Vae.Type | None = None,
        model: io.Model.Type | None = None,
        positive: io.Conditioning.Type | None = None,
        negative: io.Conditioning.Type | None = None,
        motion_prompt: MotionPrompt | None = None,
        **sampler: Any,
    ) -> io.NodeOutput:
        choice = Interpolation(
            method, passes, loop, cut_threshold, pinned_denoise, learned_denoise, hold_still
        )
        video = PromptedModel(model, positive, negative, motion_prompt)
        given = [batch for batch in (images, images_2) if batch is not None]
        leading = leading_to(cls.hidden, "samples", "images")
        carried, said = carrying(keyframes_of(samples, given, vae), leading)
        clip = interpolate(carried, choice, video, SamplerSettings(fps=fps, **sampler), said)
        return io.NodeOutput(clip, clip[FPS_KEY])


def _keyframe_inputs() -> list[io.Input]:
    """Inputs for the keyframes, as latents or as pictures."""
    return [
        io.Latent.Input(
            "samples", optional=True, tooltip="The keyframes, such as a clip from Video KSampler; or images."
        ),
        io.Image.Input(
            "images",
            optional=True,
            tooltip="The keyframes as pictures, in place of samples; needs a VAE. Others are cut to the size "
            "of the first.",
        ),
        io.Image.Input(
            "images_2",
            optional=True,
            tooltip="More keyframes, after those of images: one picture in each makes a tween.",
        ),
        io.Vae.Input("vae", optional=True, tooltip="The checkpoint's VAE; needed when images are given."),
    ]


def _interpolation_inputs() -> list[io.Input]:
    """Inputs for the frames between keyframes."""
    return [
        io.Combo.Input(
            "method",
            options=list(METHODS),
            default="learned",
            tooltip="learned: temporal layers trained on known frames; pinned: any motion module, starting "
            "from slerp with the keyframes held; slerp, linear: no model, only blended.",
        ),
        io.Int.Input(
            "passes",
            default=1,
            min=1,
            max=2,
            tooltip="1 makes 4 times as many frames, 2 makes 16 times as many.",
        ),
        io.Boolean.Input(
            "loop",
            default=False,
            tooltip="Also makes the frames from the last keyframe back to the first, so that the clip can "
            "repeat.",
        ),
        carried_fps_input(2.0),
    ]


def _blend_inputs() -> list[io.Input]:
    """Inputs for the limits of blending and of a motion module."""
    return [
        io.Float.Input(
            "pinned_denoise",
            default=0.6,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="For method pinned: how far from the blended start the motion module may go; 0.5 to "
            "0.7 are usual.",
        ),
        io.Float.Input(
            "cut_threshold",
            default=1.0,
            min=0.05,
            max=2.0,
            step=0.05,
            tooltip="Keyframes more unlike than this are a cut and are not blended: 0 is the same picture, "
            "above 1 another scene; 2 never cuts.",
        ),
    ]


def _model_inputs() -> list[io.Input]:
    """Inputs for the model that samples the frames in between."""
    return [
        io.Model.Input(
            "model", optional=True, tooltip="The model with temporal layers, for learned and pinned."
        ),
        io.Conditioning.Input(
            "positive", optional=True, tooltip="What should be seen, for learned and pinned."
        ),
        io.Conditioning.Input(
            "negative", optional=True, tooltip="What should not be seen, for learned and pinned."
        ),
        motion_prompt_input(),
        *rare(
            context_guidance_input(),
            io.Float.Input(
                "learned_denoise",
                default=1.0,
                min=0.0,
                max=1.0,
                step=0.01,
                optional=True,
                tooltip="For method learned: 1 makes the frames from noise alone; below, they start from the "
                "blended keyframes, and keep more of them. 0.6 to 0.9 are usual.",
            ),
            io.Float.Input(
                "hold_still",
                default=STILL,
                min=0.0,
                max=1.0,
                step=0.05,
                optional=True,
                tooltip="For methods learned and pinned: places that hardly change, less than this (in "
                "deviations of the latents), keep the look of the keyframes, so that grounds do not "
                "flicker; 0 leaves all as it is made. Lower it where faint things that move are lost.",
            ),
        ),
    ]
