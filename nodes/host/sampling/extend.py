"""Clips of any length by prediction.

Each segment continues the last frames of the one before (Video LDM, section 3.2).

Shapes: f frames, n frames of context, c h w a latent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ....temporal.sampling.known_frames import with_mean_colours
from ....temporal.sampling.noise import SEEDS, seed_of_part
from ....temporal.sampling.rollout import Rollout, digest
from ..latents import FPS_KEY, frame_rate
from ..layers.attached.stacks import trained_length
from ..layers.controls import FrameControls
from ..progress import SamplingProgress
from .clip import SamplerSettings, sample_clip
from .interpolate import PromptedModel
from .known import with_frames
from .prompts import FilmPlan, at_frames, remarks_of

DEFAULT_LENGTH = 8  # where no layers say


@dataclass(frozen=True)
class Extension:
    """An artist's settings on Extend Video, beside the sampler."""

    segments: int
    segment_length: int
    context_frames: int
    seeds: tuple[int, ...]
    folder: Path
    num_frames: int | None = None  # of the film; None: as many as the segments make
    hold_colours: bool = False  # means of the start's colours in every frame


@dataclass(frozen=True)
class Segment:
    """One segment to make.

    Number from 1, fingerprint of all it depends on, its prompt, its frames of a clip of `num_frames`.

    `new`: how many of them it adds. `former`: the fingerprint as it was before it held the contents of files
    of weights.
    """

    number: int
    key: str
    former: str
    positive: list
    frames: range
    new: int
    num_frames: int


def as_trained(model: Any) -> int:
    """Frames of a segment for the temporal layers of a MODEL."""
    return trained_length(model) or DEFAULT_LENGTH


def parse_seeds(text: str) -> tuple[int, ...]:
    """Seeds of a text such as "1, 2, 3".

    Raises InvalidInputError for anything but different whole numbers from 0.
    """
    try:
        seeds = tuple(int(part) for part in text.split(",") if part.strip())
    except ValueError:
        seeds = (-1,)
    if not seeds or min(seeds) < 0 or max(seeds) >= SEEDS or len(set(seeds)) < len(seeds):
        raise InvalidInputError(
            f"The seeds are {text[:60]!r}; write different whole numbers from 0 with commas between, one for "
            "each clip to make."
        )
    return seeds


def lasting(choice: Extension, start: int, seconds: float, fps: float) -> Extension:
    """Choose as many segments as a film of so many seconds needs after `start` frames; 0 leaves their number.

    Raises InvalidInputError for a start that is as long already.
    """
    _check(start, choice)
    if not seconds:
        return choice
    num_frames = round(seconds * fps)
    if num_frames <= start:
        raise InvalidInputError(
            f"The film should last {seconds:g} seconds, but its start lasts {start / fps:g} already; raise "
            "seconds, or set it to 0 to add segments."
        )
    first = start - min(start, choice.context_frames)
    each = choice.segment_length - choice.context_frames
    segments = 1 + ceil(max(num_frames - first - choice.segment_length, 0) / each)
    return replace(choice, segments=segments, num_frames=num_frames)


def film_of(start: int, choice: Extension, fps: float) -> FilmPlan:
    """The film that goes on from `start` frames."""
    ends = [frames.stop for frames in _frames(start, choice, choice.segments)]
    return FilmPlan((start, *ends[:-1]), choice.num_frames or ends[-1], fps)


def _check(start: int, choice: Extension) -> None:
    if not start:
        raise InvalidInputError(
            "The clip has no frame to go on from; give one frame at least, such as a picture's latent."
        )
    if choice.segment_length <= choice.context_frames:
        raise InvalidInputError(
            f"A segment of {choice.segment_length} frames that continues {choice.context_frames} has no new "
            "frames; make it longer or use fewer frames of context."
        )


def extend(
    latent: Mapping[str, Any],
    choice: Extension,
    video: PromptedModel,
    sampler: SamplerSettings,
    prompts: Sequence[list],
    origin: str,
    weights: str = "",
    said: str = "",
) -> list[dict[str, Any]]:
    """LATENTs of the clip (f c h w) gone on by segments, one for each seed.

    Finished segments are taken from disk.

    `origin` says where model and prompts came from, `weights` what is in their files: a segment made another
    way is made anew. `said`: what the node says beside what it makes.
    """
    start = latent["samples"].float().cpu()  # where finished segments are; --gpu-only keeps latents elsewhere
    _check(len(start), choice)
    sampler = replace(sampler, fps=frame_rate(latent, sampler.fps))
    clips, count = [], len(prompts)
    frames = _frames(len(start), choice, count)
    progress = SamplingProgress(len(choice.seeds) * count, partial(_part_name, choice.seeds, count))
    progress.remark(*filter(None, [said]), *remarks_of([*prompts, video.negative], frames[-1].stop))
    for number, seed in enumerate(choice.seeds):
        rollout = Rollout(choice.folder / f"seed_{seed}", progress.remark)
        own = replace(sampler, seed=seed)
        former = _fingerprint(start, choice, video, own, origin)
        base = digest(former, weights) if weights else former
        segments = _segments(base, former, prompts, video.negative, frames, len(start))
        _predict(rollout, start, choice, segments, video, own, progress, number * count)
        clip = rollout.join(start, [(segment.number, segment.key, segment.new) for segment in segments])
        clips.append({"samples": clip[: choice.num_frames], FPS_KEY: sampler.fps})
    return clips


def _fingerprint(
    start: Tensor, choice: Extension, video: PromptedModel, sampler: SamplerSettings, origin: str
) -> str:
    """Of all that every segment depends on, without how many there are and where they lie."""
    settings = {**asdict(sampler), "length": choice.segment_length, "context": choice.context_frames}
    if choice.hold_colours:  # segments without it keep the fingerprints that they had before
        settings["hold_colours"] = True
    texts = [tensor for tensor, _ in video.negative]
    if video.motion is not None:
        texts += [video.motion.positive, video.motion.negative]
    return digest(json.dumps(settings, sort_keys=True), origin, start, *texts)


def _frames(start: int, choice: Extension, segments: int) -> list[range]:
    """Frames of the clip that each segment samples, those that it goes on from included."""
    frames, end = [], start
    for _ in range(segments):
        first = max(0, end - choice.context_frames)
        frames.append(range(first, first + choice.segment_length))
        end = frames[-1].stop
    return frames


def _segments(
    base: str, former: str, prompts: Sequence[list], negative: list, frames: Sequence[range], start: int
) -> list[Segment]:
    """Segments whose fingerprints hold those before them.

    A changed prompt so makes only what comes after anew.
    """
    segments: list[Segment] = []
    num_frames, end = frames[-1].stop, start
    for number, (positive, own) in enumerate(zip(prompts, frames, strict=True), start=1):
        hints = FrameControls(own, num_frames).seen([*positive, *negative])
        parts = [*(tensor for tensor, _ in positive), *map(json.dumps, hints)]
        base, former = digest(base, *parts), digest(former, *parts)
        segments.append(Segment(number, base, former, positive, own, own.stop - end, num_frames))
        end = own.stop
    return segments


def _predict(
    rollout: Rollout,
    start: Tensor,
    choice: Extension,
    segments: Sequence[Segment],
    video: PromptedModel,
    sampler: SamplerSettings,
    progress: SamplingProgress,
    done: int,
) -> None:
    """Make and write the segments that are not on disk; only frames of context stay in memory."""
    context = start[-choice.context_frames :]
    means = context.mean(dim=(0, 2, 3))[None]
    for segment in segments:
        shape = (segment.new, *start.shape[1:])
        new = rollout.load(segment.number, segment.key, shape, segment.former)
        if new is None:
            new = _continue(context, segment, video, sampler, progress, done)
            new = with_mean_colours(new, means) if choice.hold_colours else new
            rollout.save(segment.number, segment.key, new)
        context = torch.cat([context, new])[-choice.context_frames :]


def _continue(
    context: Tensor,
    segment: Segment,
    video: PromptedModel,
    sampler: SamplerSettings,
    progress: SamplingProgress,
    done: int,
) -> Tensor:
    """New frames (f-n c h w) after the context (n c h w).

    The context is the first of the segment's f frames of the clip.
    """
    places = tuple((frame, frame) for frame in range(len(context)))
    window = with_frames(
        {"samples": context.new_zeros(len(segment.frames), *context.shape[1:])}, context, places
    )
    sampler = replace(sampler, seed=seed_of_part(sampler.seed, segment.number - 1))
    controls = FrameControls(segment.frames, segment.num_frames)
    positive, negative = (
        at_frames(conds, segment.frames, controls) for conds in (segment.positive, video.negative)
    )
    part = done + segment.number - 1
    made = sample_clip(video.model, positive, negative, window, sampler, video.motion, progress, part)[
        "samples"
    ]
    return made[len(context) :].float().cpu()


def _part_name(seeds: Sequence[int], segments: int, part: int) -> str:
    """Name of the segment that the node is making."""
    name = f"segment {part % segments + 1} of {segments}"
    return name if len(seeds) == 1 else f"{name}, seed {seeds[part // segments]}"
