"""Numbers of a clip on the node Video Metrics, by the code of `python -m video_ldm.evaluation`.

Shapes: frames (f h w 3) float 0..1 where they come from the graph, uint8 where they are measured.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import comfy.utils
import folder_paths
import numpy as np
import torch
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ....temporal.libraries import opencv
from ....temporal.metrics.consistency import consistency
from ....temporal.metrics.distances import measure_distances
from ....temporal.metrics.films import TITLES, FilmNumbers, Look, measure
from ....temporal.metrics.networks import FVD_SIDE
from ....temporal.metrics.steadiness import distance_to
from ....temporal.sampling.known_frames import parse_indices
from .pictures import features_of

METRICS = "metrics"  # folder in `models`
CLIP, OTHER = "this clip", "other clip"


@dataclass(frozen=True)
class Measured:
    """Settings of a measurement: frame rate, text, and the networks for consistency, where they are there."""

    fps: float
    text: bool = False
    background: Any = None  # CLIP_VISION
    subject: Any = None


def measured_clip(
    images: Tensor, settings: Measured, other: Tensor | None, given: Tensor | None, places: str
) -> tuple[str, str]:
    """Report and JSON of a clip, beside those of another where there is one.

    Raises:
        InvalidInputError: a clip of one frame, or given images that do not fit to their places.
        MissingLibraryError: a library that is needed is not installed.
    """
    distance = _distance_to_given(images, given, places)
    sides = {CLIP: replace(_numbers(images, settings), given=distance)}
    distances: dict[str, Any] = {}
    remarks: list[str] = []
    if other is not None:
        sides[OTHER] = _numbers(other, settings)
        folder = Path(folder_paths.models_dir) / METRICS
        distances, remarks = measure_distances(_squeezed(images), _squeezed(other), folder)
    report = "\n".join([*_lines(sides), *_distances(distances), *remarks])
    values = {"clips": {side: numbers.to_json() for side, numbers in sides.items()}}
    return report, json.dumps({**values, "distances": distances, "remarks": remarks}, indent=1)


def _numbers(images: Tensor, settings: Measured) -> FilmNumbers:
    if len(images) < 2:
        raise InvalidInputError("The clip to measure has a single frame; connect an IMAGE of two or more.")
    small = _shrunk(_as_bytes(images), Look().side)
    numbers = measure(small, settings.fps, text=settings.text)
    height, width = images.shape[1:3]
    return replace(
        numbers,
        width=width,
        height=height,
        subject=_consistency(images, settings.subject),
        background=_consistency(images, settings.background),
    )


def _consistency(images: Tensor, network: Any) -> float | None:
    if network is None:
        return None
    bar = comfy.utils.ProgressBar(len(images))
    return consistency(features_of(network, images, bar.update))


def _distance_to_given(images: Tensor, given: Tensor | None, places: str) -> float | None:
    """Distance of frames to images that were given for them, in the size of the clip."""
    if given is None:
        return None
    frames = parse_indices(places, len(images))
    if len(frames) != len(given):
        raise InvalidInputError(
            f"given_images holds {len(given)} images, but given_frames lists {len(frames)} frames; list one "
            "frame for each image."
        )
    if given.shape[1:3] != images.shape[1:3]:
        raise InvalidInputError(
            f"The clip is {images.shape[2]} x {images.shape[1]}, but the given images are {given.shape[2]} x "
            f"{given.shape[1]}; connect them as they were given to the clip, in its size."
        )
    return distance_to(_as_bytes(images), dict(zip(frames, _as_bytes(given), strict=True)))


def _as_bytes(images: Tensor) -> np.ndarray:
    """Frames as films hold them."""
    return (images[..., :3].float().clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def _squeezed(images: Tensor) -> np.ndarray:
    """The clip (1 f side side 3) as distances see it."""
    cv2, size = opencv(), (FVD_SIDE, FVD_SIDE)
    frames = [cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in _as_bytes(images)]
    return np.stack(frames)[None]


def _shrunk(frames: np.ndarray, side: int) -> np.ndarray:
    """Frames with their shorter side at `side`, never enlarged, as `temporal/video/reading.py` has films."""
    height, width = frames.shape[1:3]
    scale = side / min(height, width)
    if scale >= 1:
        return frames
    size = tuple(max(2, 2 * round(length * scale / 2)) for length in (width, height))
    cv2 = opencv()
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def _lines(sides: Mapping[str, FilmNumbers]) -> list[str]:
    """A line a number, both clips on it."""
    facts = [f"{side}: {n.frames} frames, {n.width} x {n.height}, {n.fps:g} fps" for side, n in sides.items()]
    lines = []
    for name, (title, unit) in TITLES.items():
        values = [value for numbers in sides.values() if (value := getattr(numbers, name)) is not None]
        if values:
            lines.append(f"{title}: {' | '.join(f'{value:.4g}' for value in values)} ({unit})")
    return [*facts, *lines]


def _distances(distances: Mapping[str, Any]) -> list[str]:
    return [
        f"{name}: {facts['value']:.4g}, n {facts['ours']} and {facts['theirs']}, {facts['features']}"
        for name, facts in distances.items()
    ]
