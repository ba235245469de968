"""Reading clips of the toy world back: which colour is there, where it goes, how steadily.

Frames are `(f, h, w, 3)` uint8 RGB; a track is `(f, 2)` pixels (x, y), NaN where the object is not seen.
"""

from __future__ import annotations

import numpy as np

from .scene import COLORS, DIRECTIONS

MIN_AREA = 40
MIN_SPEED = 1.5
_NAMES = tuple(COLORS)


def colour_map(frames: np.ndarray, threshold: float = 70.0) -> np.ndarray:
    """For every pixel the index of its colour among COLORS, or -1 on muted ground, `(f, h, w)`.

    Colours are told apart by hue alone: brightness and saturation are what soft edges and decoders change.
    """
    chroma = _chroma(frames)
    nearest = (chroma @ _palette().T).argmax(-1)
    return np.where(np.linalg.norm(chroma, axis=-1) > threshold, nearest, -1)


def _chroma(frames: np.ndarray) -> np.ndarray:
    pixels = frames.astype(np.float32)
    return pixels - pixels.mean(-1, keepdims=True)


def _palette() -> np.ndarray:
    """The hue of each colour as a unit vector, `(colours, 3)`."""
    chroma = _chroma(np.array(list(COLORS.values())))
    return chroma / np.linalg.norm(chroma, axis=-1, keepdims=True)


def main_colour(frames: np.ndarray) -> str | None:
    """The colour that covers most of the clip, or None where nothing colourful is in it."""
    found = colour_map(frames)
    areas = [(found == index).sum() for index in range(len(_NAMES))]
    best = int(np.argmax(areas))
    return _NAMES[best] if areas[best] >= MIN_AREA * len(frames) / 2 else None


def track(frames: np.ndarray, color: str) -> np.ndarray:
    """The centre of a colour's pixels in every frame, `(f, 2)`.

    Soft edges count in part, so it is finer than a pixel.
    """
    index = _NAMES.index(color)
    strength = _chroma(frames) @ _palette()[index]
    weights = np.where(
        colour_map(frames, 35.0) == index, np.minimum(strength, np.percentile(strength, 99.5)), 0
    )
    path = np.full((len(frames), 2), np.nan)
    for frame, seen in enumerate((colour_map(frames) == index).sum((1, 2)) >= MIN_AREA):
        if seen:
            ys, xs = np.indices(weights.shape[1:])
            path[frame] = [np.average(axis + 0.5, weights=weights[frame]) for axis in (xs, ys)]
    return path


def velocity(path: np.ndarray) -> np.ndarray:
    """The straight line's slope through a track, pixels per frame (x, y).

    NaN with fewer than three points.
    """
    seen = ~np.isnan(path[:, 0])
    if seen.sum() < 3:
        return np.full(2, np.nan)
    return np.polyfit(np.nonzero(seen)[0], path[seen], 1)[0]


def direction(path: np.ndarray) -> str | None:
    """Direction of a track: left, right, up or down, or "still" below 1.5 pixels a frame.

    None where the track is lost.
    """
    slope = velocity(path)
    if np.isnan(slope).any():
        return None
    if np.hypot(*slope) < MIN_SPEED:
        return "still"
    return max(DIRECTIONS, key=lambda name: float(slope @ np.array(DIRECTIONS[name])))


def along(slope: np.ndarray, way: str) -> tuple[bool, bool, float]:
    """Parts of a velocity (x, y) that do what a way asks.

    On its axis, in its sense, and at what speed in its direction.

    The three come apart: layers may know that something moves sideways, and not to which side.
    """
    asked = np.array(DIRECTIONS[way])
    forward, aside = float(slope @ asked), float(abs(slope @ asked[::-1]))
    moves = bool(np.hypot(*slope) >= MIN_SPEED)  # False where the track is lost
    return moves and abs(forward) > aside, moves and forward > 0, forward


def turn(path: np.ndarray) -> str | None:
    """The sense in which a track bends on the whole, clockwise or counterclockwise."""
    steps = np.diff(path[~np.isnan(path[:, 0])], axis=0)
    if len(steps) < 2:
        return None
    bend = steps[:-1, 0] * steps[1:, 1] - steps[:-1, 1] * steps[1:, 0]
    return "clockwise" if bend.sum() > 0 else "counterclockwise"


def jitter(path: np.ndarray) -> float:
    """Root mean square of the track's second differences in pixels.

    0 for even motion on a line, NaN where unseen.
    """
    bends = np.diff(path, n=2, axis=0)
    bends = bends[~np.isnan(bends).any(1)]
    return float(np.sqrt((bends**2).sum(1).mean())) if len(bends) else float("nan")
