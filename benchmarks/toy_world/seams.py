"""Compare the motion of predicted objects where segments of a film meet with that inside segments.

Tracks `(f 2)` in pixels, clips `(f h w 3)` uint8; frame 0 is the first of the given ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...demo.world import tracker
from ...demo.world.scene import Scene

CONTEXT, LENGTH = 2, 8  # frames of a segment that are given, and all of them
NEW = LENGTH - CONTEXT

Path2D = NDArray[np.float64]


def is_seam(size: int, width: int) -> NDArray[np.bool_]:
    """For each of `size` runs of `width` neighbouring frames, whether two predicted segments meet inside it.

    Run n starts with frame n. The first segment starts after the given frames, which are no segment.
    """
    segments = (np.arange(size + width - 1) - CONTEXT) // NEW
    return np.array([0 <= segments[n] < segments[n + width - 1] for n in range(size)])


@dataclass(frozen=True)
class Changes:
    """Sizes of changes along a track in pixels, at seams and inside segments."""

    seams: NDArray[np.float64]
    inside: NDArray[np.float64]

    @property
    def ratio(self) -> float:
        """Median at seams over median inside; NaN where either is empty."""
        if not len(self.seams) or not len(self.inside):
            return float("nan")
        return float(np.median(self.seams) / np.median(self.inside))


def changes(paths: list[Path2D], order: int) -> Changes:
    """Changes of position (order 1) or velocity (order 2) between neighbouring predicted frames.

    Tracks are `(f 2)`.

    Runs that hold a given frame or one without the object are left out.
    """
    seams, inside = [], []
    for path in paths:
        sizes = np.hypot(*np.diff(path, n=order, axis=0).T)
        kept = (np.arange(len(sizes)) >= CONTEXT) & ~np.isnan(sizes)
        at_seam = is_seam(len(sizes), order + 1)
        seams.append(sizes[kept & at_seam])
        inside.append(sizes[kept & ~at_seam])
    return Changes(np.concatenate(seams), np.concatenate(inside))


def motion(clips: list[np.ndarray], scenes: list[Scene]) -> dict[str, float]:
    """Motion of the object.

    Seen, the right way round, and its changes at seams against those inside segments.
    """
    paths = [tracker.track(clip, scene.color) for clip, scene in zip(clips, scenes, strict=True)]
    turns = [tracker.turn(path[CONTEXT:]) == scene.motion for path, scene in zip(paths, scenes, strict=True)]
    found = {
        "seen": 100 * float(np.mean([~np.isnan(p[:, 0]) for p in paths])),
        "turn": 100 * float(np.mean(turns)),
    }
    for name, order in (("position", 1), ("velocity", 2)):
        sizes = changes(paths, order)
        found[name] = sizes.ratio
        found |= {f"{name}_seams": _median(sizes.seams), f"{name}_inside": _median(sizes.inside)}
    return found


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
