"""Video KSampler: the host's KSampler for clips."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .host import Node, io
from .host.graph import leading_to
from .host.preview import latent_format_of
from .host.progress import SamplingProgress
from .host.sampling.clip import SamplerSettings, sample_clip, samplers, schedulers
from .host.sampling.extend import parse_seeds
from .host.sampling.prompts import MotionPrompt
from .host.search import search_aliases
from .host.shown import cfg_curve, shown_takes
from .host.speed import speed_of
from .rare import rare
from .sockets import MotionPromptType

NOISE_TYPES = ["independent", "mixed", "progressive"]


class VideoKSampler(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_VideoKSampler",
            display_name="Video KSampler (text to video)",
            category="Video LDM/sampling",
            **search_aliases("ksampler, animatediff sampler, txt2vid, t2v, text to video"),
            description="Denoises one clip: the frames are the batch of the latent.",
            hidden=[io.Hidden.dynprompt, io.Hidden.unique_id],
            inputs=[*_host_inputs(), *_clip_inputs()],
            outputs=[
                io.Latent.Output(
                    is_output_list=True,
                    tooltip="The denoised clip with its frame rate, for Temporal VAE Decode; of several "
                    "seeds one clip each, and what follows runs for each.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        latent_image: io.Latent.Type,
        motion_prompt: MotionPrompt | None = None,
        seeds: str = "",
        **settings: Any,
    ) -> io.NodeOutput:
        origin = leading_to(cls.hidden, "latent_image")
        speed = speed_of(settings["fps"], latent_image, origin)
        chosen = SamplerSettings(**{**settings, "fps": speed.fps})
        numbers = parse_seeds(seeds) if seeds.strip() else (chosen.seed,)
        names = [f"seed {number}" for number in numbers]
        progress = SamplingProgress(len(numbers), names.__getitem__ if seeds.strip() else None)
        progress.remark(*filter(None, [speed.said]))
        takes = [
            sample_clip(
                *(model, positive, negative, latent_image, replace(chosen, seed=number), motion_prompt),
                progress,
                part,
            )
            for part, number in enumerate(numbers)
        ]
        shown: Any = cfg_curve(chosen.cfg, chosen.cfg_last_frame, takes[0])
        colours = latent_format_of(model)
        if len(takes) > 1 and colours.latent_rgb_factors is not None:
            shown = shown_takes(dict(zip(names, takes, strict=True)), colours, speed.fps)
        return io.NodeOutput(takes, ui=shown)


def _host_inputs() -> list[io.Input]:
    return [
        io.Model.Input("model", tooltip="The model that denoises; with temporal layers it makes a video."),
        io.Conditioning.Input("positive", tooltip="What should be seen."),
        io.Conditioning.Input("negative", tooltip="What should not be seen."),
        io.Latent.Input(
            "latent_image", tooltip="The clip to denoise: Empty Latent Image with batch_size = frames."
        ),
        *sampler_inputs(seed_input(changes=True)),
        io.Float.Input(
            "denoise",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Share of the noise schedule that is used; below 1 keeps the structure of the given "
            "clip.",
        ),
    ]


def _clip_inputs() -> list[io.Input]:
    return [
        fps_input(),
        motion_prompt_input(),
        *rare(*_noise_inputs(), context_guidance_input(), _seeds_input(), _draft_input()),
    ]


def _seeds_input() -> io.Input:
    return io.String.Input(
        "seeds",
        default="",
        optional=True,
        tooltip="Several seeds with commas between, such as 1, 2, 3, in place of seed: a take for each, side "
        "by side on the node.",
    )


def _draft_input() -> io.Input:
    return io.Boolean.Input(
        "draft",
        default=False,
        optional=True,
        tooltip="A quick look in 12 steps of 20, or 15 of 30: the first third as they are, then five to the "
        "end. Places and motion are those of the clip itself with the same seed, details are not.",
    )


def _noise_inputs() -> list[io.Input]:
    """Inputs for guidance and noise that differ from frame to frame."""
    return [
        cfg_last_frame_input(),
        io.Combo.Input(
            "noise_type",
            options=NOISE_TYPES,
            default="independent",
            tooltip="How the noise of the frames is related: independent, mixed (one part shared by all "
            "frames) or progressive (each frame's noise grows out of the one before).",
        ),
        io.Float.Input(
            "noise_correlation",
            default=0.5,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Strength of that relation: 0 is independent, 1 gives every frame the same noise.",
        ),
    ]


def context_guidance_input() -> io.Input:
    """Guidance towards known frames, the same wherever a clip is sampled."""
    return io.Float.Input(
        "context_guidance",
        default=1.0,
        min=0.0,
        max=20.0,
        step=0.05,
        round=0.001,
        optional=True,
        tooltip="Guidance towards known frames, for temporal layers trained on them: 1 is off, 1.25 to 2 "
        "are usual; it costs half as much time again.",
    )


def cfg_input() -> io.Input:
    """Guidance towards the prompt, the same wherever a clip is sampled."""
    return io.Float.Input(
        "cfg",
        default=7.5,
        min=0.0,
        max=100.0,
        step=0.1,
        round=0.01,
        tooltip="Guidance towards the prompt; 5 to 9 are usual, higher follows the prompt more closely.",
    )


def cfg_last_frame_input(optional: bool = False) -> io.Input:
    """Guidance of the last frame."""
    return io.Float.Input(
        "cfg_last_frame",
        default=0.0,
        min=0.0,
        max=100.0,
        step=0.1,
        round=0.01,
        optional=optional,
        tooltip="Guidance of the last frame; the frames between follow a straight line. 0 keeps cfg for all.",
    )


def fps_input() -> io.Input:
    """Frame rate that the temporal layers are told."""
    return io.Float.Input(
        "fps",
        default=0.0,
        min=0.0,
        max=240.0,
        step=0.1,
        round=0.001,
        tooltip="Frames per second of the clip, which the temporal layers are told: lower means more motion "
        "between frames. 0 keeps the speed of the given clip or film, else 8.",
    )


def sampler_inputs(seed: io.Input | None = None) -> list[io.Input]:
    """Inputs of the host's samplers, the same wherever a clip is sampled."""
    return [
        *([seed] if seed else []),
        io.Int.Input("steps", default=20, min=1, max=10000, tooltip="Denoising steps; 20 to 30 are usual."),
        cfg_input(),
        io.Combo.Input(
            "sampler_name", options=samplers(), default="euler", tooltip="The host's sampling algorithms."
        ),
        io.Combo.Input(
            "scheduler", options=schedulers(), default="normal", tooltip="How noise is removed over steps."
        ),
    ]


def seed_input(changes: bool) -> io.Input:
    """Input for the seed of the noise.

    It `changes` after every run where another clip is wanted each time, and stays where all that follows
    would be made anew.
    """
    return io.Int.Input(
        "seed",
        default=0,
        min=0,
        max=0xFFFFFFFFFFFFFFFF,
        control_after_generate=changes,
        tooltip="Seed of the noise: the same seed makes the same clip.",
    )


def motion_prompt_input() -> io.Input:
    """Text for the temporal layers alone."""
    return MotionPromptType.Input(
        "motion_prompt",
        optional=True,
        tooltip="Text that only the temporal layers read; without it they read the prompt.",
    )


def carried_fps_input(default: float) -> io.Input:
    """Frame rate of a given clip, for latents that were not made by this pack."""
    return io.Float.Input(
        "fps",
        default=default,
        min=0.1,
        max=240.0,
        step=0.1,
        round=0.001,
        tooltip="Frames per second of the given clip, where its latent carries none; one from Video "
        "KSampler does.",
    )
