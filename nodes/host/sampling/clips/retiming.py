"""Clips of a length in seconds, and films and clips at another frame rate.

Known frames stay known where they are seen as they are.

Shapes: f frames before, n after, latents (f c h w), images (f h w 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from comfy_execution.graph_utils import ExecutionBlocker
from torch import Tensor

import nodes

from .....temporal.errors import InvalidInputError
from .....temporal.video.retiming import Mix, frames_at, frames_in, mixes
from ...latents import FPS_KEY, GIVEN_KEY, INDEX_KEY, KNOWN_KEY, SIZE_KEY, Record, record_of
from ...layers.per_frame import masks
from ...memory import check_frames_fit
from ...progress import say
from ...speed import speed_of
from ..known import RECORD_KEYS, KnownFrames

SIDE = 8  # pixels on a side of what one number of an empty clip stands for
BYTES = 4  # of a number
PER_FRAME = (*RECORD_KEYS, "samples", "noise_mask", "batch_index")  # of a LATENT
NO_IMAGES = "Frame Rate was given no frames; take its latent, or connect images or a video to it."
NO_LATENT = "Frame Rate was given no latents; take its images, or connect samples to it."


@dataclass(frozen=True)
class Rates:
    """Frames per second that are wanted and those there are, 0: what the clip says itself; one of METHODS."""

    fps: float
    before: float
    method: str


@dataclass(frozen=True, eq=False)
class Resampled:
    """Clip at its new rate; in place of what was not given stands what stops the node that wants it."""

    images: Tensor | ExecutionBlocker
    latent: dict[str, Any] | ExecutionBlocker
    audio: Any


def empty_clip(width: int, height: int, seconds: float, fps: float) -> tuple[dict[str, Any], int]:
    """LATENT of a clip to make, as the host's own node makes it, and the number of its frames.

    Raises InvalidInputError where main memory is too small.
    """
    count = frames_in(seconds, fps)
    check_frames_fit(count, (width, height), 4 * BYTES * width * height / SIDE**2)
    host_node = nodes.EmptyLatentImage()  # pyright: ignore[reportAttributeAccessIssue] our folder's name
    latent = host_node.generate(width, height, count)[0]
    say(f"{count} frames of {width} x {height} at {fps:g} fps, {count / fps:.4g} s.")
    return {**latent, FPS_KEY: fps}, count


def at_rate(
    samples: Mapping[str, Any] | None,
    images: Tensor | None,
    video: Any,
    rates: Rates,
    origin: Mapping[str, Any],
) -> Resampled:
    """A LATENT, frames or a VIDEO at another frame rate.

    `origin`: the graph that leads to it, as from `ancestors`.

    Raises InvalidInputError for none or several of them, and where nothing says how fast it is.
    """
    given = {"samples": samples, "images": images, "video": video}
    there = [name for name, clip in given.items() if clip is not None]
    if len(there) != 1:
        raise InvalidInputError(
            f"Frame Rate takes one clip, but it was given {' and '.join(there) or 'none'}. Connect one of "
            "samples, images and video."
        )
    if samples is not None:
        before = rates.before or speed_of(0.0, samples, origin, usual=0.0).fps
        return Resampled(ExecutionBlocker(NO_IMAGES), _latent_at(samples, before, rates), None)
    before, audio = rates.before or speed_of(0.0, None, origin, usual=0.0).fps, None
    if video is not None:
        parts = video.get_components()
        images, audio, before = parts.images, parts.audio, rates.before or float(parts.frame_rate)
    if images is None or not len(images):
        raise InvalidInputError("The video has no frames. Connect one that has.")
    height, width = images.shape[1:3]
    plan = _plan(images, (width, height), before, rates)
    say(_said(len(images), before, len(plan), rates.fps))
    return Resampled(mixed(images, plan), ExecutionBlocker(NO_LATENT), audio)


def _latent_at(latent: Mapping[str, Any], before: float, rates: Rates) -> dict[str, Any]:
    """LATENT at another rate, with what it says of its frames."""
    record, samples, mask = record_of(latent), latent["samples"], latent.get("noise_mask")
    height, width = (SIDE * length for length in samples.shape[2:])
    plan = _plan(samples, (width, height), before, rates)
    kept = {key: value for key, value in latent.items() if key not in PER_FRAME}
    made = {**kept, "samples": mixed(samples, plan), FPS_KEY: rates.fps}
    said = _said(len(samples), before, len(plan), rates.fps)
    if record is not None:  # what is left of the mask without their pins is the artist's own
        mask = KnownFrames(samples, record.known).free(mask)
        made |= _moved(record, plan, latent)
        stay = int(made[KNOWN_KEY][: len(plan)].sum())
        said += f" Known frames: {stay}, before {int(record.known.sum())}."
    if mask is not None:
        each = masks(mask, len(samples))
        made["noise_mask"] = mixed(each.expand(len(samples), *each.shape[1:]), plan)
    if record is not None:
        known = KnownFrames(made["samples"], made[KNOWN_KEY][: len(plan)].bool())
        made["noise_mask"] = known.pin(made.get("noise_mask"))
    say(said)
    return made


def _moved(record: Record, plan: Sequence[Mix], latent: Mapping[str, Any]) -> dict[str, Any]:
    """Record of the known frames at their new places.

    A frame that is mixed of several is not known. Those that are seen no more stay in the record behind the
    others, as if cut away, so that the images that were given go on to count.
    """
    none, count = torch.tensor([[-1, 0]]), len(plan)
    sources = [mix[0][0] if len(mix) == 1 else None for mix in plan]
    shown = [None if frame is None or not record.known[frame] else record.rows[frame] for frame in sources]
    lost = [
        row for row, (number, _) in enumerate(record.numbers.tolist()) if number >= 0 and row not in shown
    ]
    rows = [none if row is None else record.numbers[row : row + 1] for row in (*shown, *lost)]
    known = torch.tensor([row is not None for row in (*shown, *lost)]).float()
    index = {"batch_index": list(range(count))} if lost else {}
    return {
        **index,
        KNOWN_KEY: known,
        GIVEN_KEY: torch.cat(rows),
        INDEX_KEY: list(range(len(rows))),
        SIZE_KEY: latent.get(SIZE_KEY, tuple(latent["samples"].shape[2:])),
    }


def _plan(frames: Tensor, size: tuple[int, int], before: float, rates: Rates) -> list[Mix]:
    """Mix of every new frame, once they are known to fit into memory. `size` (width, height) in pixels."""
    if not before:
        raise InvalidInputError(
            "Nothing says how many frames per second the clip has. Set fps_before to them, or connect a "
            "LATENT of Video KSampler, the frames of Load Video Frames, or a VIDEO."
        )
    count = frames_at(len(frames), before, rates.fps)
    check_frames_fit(count, size, frames[0].numel() * frames.element_size())
    return mixes(len(frames), before, rates.fps, rates.method)


def mixed(frames: Tensor, plan: Sequence[Mix]) -> Tensor:
    """Frames (f ...) mixed into new ones (n ...); what is of one frame alone is exactly it."""
    made = torch.empty((len(plan), *frames.shape[1:]), dtype=frames.dtype, device=frames.device)
    for target, mix in zip(made, plan, strict=True):
        (first, share), *others = mix
        if not others:
            target.copy_(frames[first])
            continue
        sum_of = share * frames[first].float()
        for number, part in others:
            sum_of += part * frames[number].float()
        target.copy_(sum_of)
    return made


def _said(count: int, before: float, made: int, fps: float) -> str:
    return f"{count} frames at {before:g} fps become {made} at {fps:g} fps, {made / fps:.4g} s."
