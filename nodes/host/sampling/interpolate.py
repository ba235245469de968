"""In-between frames of a clip, pair by pair, so that memory does not grow with the clip.

Shapes: f keyframes, c h w a latent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ....temporal.errors import IncompatibleModelError, InvalidInputError
from ....temporal.sampling.interpolation import (
    STRIDE,
    WEIGHTS,
    Fill,
    lerp,
    refine,
    slerp_frames,
    with_still_places,
)
from ....temporal.sampling.known_frames import with_mean_colours
from ....temporal.sampling.noise import SEEDS, seed_of_part
from ..latents import FPS_KEY, frame_rate
from ..layers.attached.stacks import layers_know_frames
from ..layers.controls import FrameControls
from ..progress import SamplingProgress
from .clip import SamplerSettings, sample_clip
from .known import with_frames
from .prompts import MotionPrompt, at_frames, remarks_of

METHODS = ("learned", "pinned", "slerp", "linear")


@dataclass(frozen=True)
class Interpolation:
    """An artist's settings on Latent Interpolate, beside the sampler."""

    method: str
    passes: int
    loop: bool
    cut_threshold: float
    pinned_denoise: float
    learned_denoise: float = 1.0  # below 1 the frames start from slerp
    hold_still: float = 0.0  # what counts as still, in deviations of the latents


@dataclass(frozen=True)
class PromptedModel:
    """Model and prompts that sample the frames in between."""

    model: Any  # these three are None where frames come in between without sampling
    positive: Any
    negative: Any
    motion: MotionPrompt | None


def interpolate(
    latent: Mapping[str, Any],
    choice: Interpolation,
    video: PromptedModel,
    sampler: SamplerSettings,
    said: str = "",
) -> dict[str, Any]:
    """LATENT of keyframes (f c h w) with frames in between: ((f-1)*4+1 c h w) for each pass.

    It carries the frame rate that it has then.

    `said`: what the node says beside what it makes. Raises InvalidInputError or IncompatibleModelError for a
    method that needs what is not there.
    """
    _check(choice.method, video)
    frames, fps = latent["samples"], frame_rate(latent, sampler.fps)
    counts = _pair_counts(len(frames), choice)
    progress = SamplingProgress(sum(counts), partial(_part_name, counts))
    progress.remark(*filter(None, [said]))
    if choice.method in ("learned", "pinned"):
        dense, given = STRIDE * counts[-1] + (not choice.loop), [video.positive, video.negative]
        progress.remark(*remarks_of(given, dense, len(frames), "keyframes"))
    for number in range(choice.passes):
        fps *= STRIDE
        settings = replace(sampler, fps=fps, seed=seed_of_part(sampler.seed, number))
        fill = _fill(choice, video, settings, counts, number, progress)
        frames = refine(frames, fill, choice.loop, choice.cut_threshold)
    return {"samples": frames, FPS_KEY: fps}


def _check(method: str, video: PromptedModel) -> None:
    if method in ("slerp", "linear"):
        return
    if video.model is None or video.positive is None or video.negative is None:
        raise InvalidInputError(
            f"Method {method} samples the frames in between: connect model, positive and negative, or choose "
            f"slerp or linear."
        )
    if method == "learned" and not layers_know_frames(video.model):
        raise IncompatibleModelError(
            "Method learned needs temporal layers that were trained on known frames, and this MODEL has "
            "none; load such layers or choose pinned."
        )


def _pair_counts(frames: int, choice: Interpolation) -> list[int]:
    """Pairs of neighbours in each pass."""
    counts = []
    for _ in range(choice.passes):
        counts.append(frames if choice.loop else frames - 1)
        frames = STRIDE * counts[-1] + (not choice.loop)
    return counts


def _part_name(counts: Sequence[int], part: int) -> str:
    """Name of the part that the node is making."""
    number = 0
    while part >= counts[number]:
        part -= counts[number]
        number += 1
    return f"pass {number + 1} of {len(counts)}, pair {part + 1} of {counts[number]}"


def _fill(
    choice: Interpolation,
    video: PromptedModel,
    settings: SamplerSettings,
    counts: Sequence[int],
    current: int,
    progress: SamplingProgress,
) -> Fill:
    """Maker of the frames between two keyframes.

    `counts`: pairs of keyframes in each pass; `current`: index of this pass.
    """
    if choice.method == "linear":
        return lambda _number, start, end: lerp(start, end, WEIGHTS)
    if choice.method == "slerp":
        return lambda _number, start, end: slerp_frames(start, end)

    density, finer = STRIDE**current, STRIDE ** (choice.passes - 1 - current)
    num_frames, done = STRIDE * counts[-1] + (not choice.loop), sum(counts[:current])

    def sampled(number: int, start: Tensor, end: Tensor) -> Tensor:
        """Frames (3 c h w) from the middle of a clip of five whose ends are given."""
        denoise = choice.pinned_denoise if choice.method == "pinned" else choice.learned_denoise
        window = _window(choice.method, start, end, blended=denoise < 1.0)
        own = replace(settings, seed=(settings.seed + number) % SEEDS, denoise=denoise)
        places = [(STRIDE * number + frame) * finer % num_frames for frame in range(STRIDE + 1)]
        keyframe, controls = [number // density] * len(places), FrameControls(places, num_frames)
        sides = (at_frames(conds, keyframe, controls) for conds in (video.positive, video.negative))
        positive, negative = sides
        part = done + number
        made = sample_clip(video.model, positive, negative, window, own, video.motion, progress, part)
        even = lerp(start.mean(dim=(1, 2)), end.mean(dim=(1, 2)), WEIGHTS)
        frames = with_mean_colours(made["samples"][1:-1].to(start), even)
        return with_still_places(frames, start, end, choice.hold_still)

    return sampled


def _window(method: str, start: Tensor, end: Tensor, blended: bool) -> dict[str, Any]:
    """LATENT of five frames between and with two keyframes (c h w).

    `blended`: frames that layers learn to fill in start from slerp and not from noise alone.
    """
    ends = torch.stack([start, end])
    samples = torch.cat([ends[:1], slerp_frames(start, end), ends[1:]])
    if method == "learned":
        begun = samples if blended else torch.zeros_like(samples)
        return with_frames({"samples": begun}, ends, ((0, 0), (STRIDE, 1)))
    noise_mask = start.new_ones(STRIDE + 1, 1, *start.shape[1:])
    noise_mask[[0, STRIDE]] = 0
    return {"samples": samples, "noise_mask": noise_mask}
