"""Steadiness of a film: flicker of still places, evenness of motion, drift, seam of a loop.

Drift is that of brightness and colour.

Shapes: frames (f h w 3) uint8, RGB.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .flow import flow_between, warped

STILL = 0.3  # pixels of flow below which a place is still


@dataclass(frozen=True)
class Drift:
    """Change from the first to the last tenth of a film, of 255.

    One number is of mean brightness, the other the distance of the mean colours.
    """

    brightness: float
    colour: float


def flicker(frames: np.ndarray) -> float:
    """Mean absolute change between neighbouring frames, of 255, at places that do not move; 0 for a still."""
    changes = []
    for one, other in pairwise(frames):
        still = np.linalg.norm(flow_between(one, other), axis=-1) < STILL
        if still.any():
            change = np.abs(other.astype(np.float32) - one.astype(np.float32)).mean(axis=-1)
            changes.append(float(change[still].mean()))
    return float(np.mean(changes)) if changes else 0.0


def smoothness(frames: np.ndarray) -> float:
    """Agreement of every frame with its neighbours, 0..1.

    1 - (mean error of their mean along the flow) / 255.

    The measure of VBench's "motion smoothness", with flow in place of a network that interpolates. 1 for
    fewer than three frames.
    """
    errors = []
    for before, frame, after in zip(frames[:-2], frames[1:-1], frames[2:], strict=True):
        flow = flow_between(before, after)
        middle = (warped(before, -flow / 2) + warped(after, flow / 2)) / 2
        errors.append(float(np.abs(middle - frame.astype(np.float32)).mean()))
    return 1.0 - float(np.mean(errors)) / 255 if errors else 1.0


def drift(frames: np.ndarray) -> Drift:
    """Change of brightness and colour from the start to the end of a film."""
    tenth = max(1, len(frames) // 10)
    start, end = (part.reshape(-1, 3).mean(axis=0) for part in (frames[:tenth], frames[-tenth:]))
    return Drift(float(end.mean() - start.mean()), float(np.linalg.norm(end - start)))


def seam(frames: np.ndarray) -> float:
    """Change from the last frame to the first, in mean changes between neighbours: 1 in a seamless loop.

    0 for a film in which nothing changes at all.
    """
    pixels = frames.astype(np.float32)
    inside = float(np.abs(np.diff(pixels, axis=0)).mean()) if len(frames) > 1 else 0.0
    across = float(np.abs(pixels[0] - pixels[-1]).mean())
    if inside == 0:
        return 0.0 if across == 0 else float("inf")
    return across / inside


def distance_to(frames: np.ndarray, given: dict[int, np.ndarray]) -> float:
    """Mean absolute distance, of 255, of frames to pictures (h w 3) that were given for them."""
    return float(
        np.mean(
            [
                np.abs(frames[n].astype(np.float32) - picture.astype(np.float32)).mean()
                for n, picture in given.items()
            ]
        )
    )
