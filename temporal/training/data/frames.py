"""The clips that a step of training a decoder, an upscaler or a video model draws from frames.

Shapes: frames (f h w 3) uint8 as kept, (f 3 h w) in 0..1 as drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ...errors import InvalidInputError


@dataclass(frozen=True, eq=False)
class FrameStore:
    """Frames of all clips, one after the other; `offsets` (clips + 1) says where each clip begins."""

    frames: np.ndarray
    offsets: np.ndarray

    def check(self, num_frames: int, crop: int = 0) -> None:
        """Raise InvalidInputError where no clip has so many frames, or frames are smaller than the crop."""
        longest, smallest = int(np.diff(self.offsets).max()), min(self.frames.shape[1:3])
        if longest < num_frames:
            raise InvalidInputError(
                f"The longest clip has {longest} frames, but {num_frames} are asked for; use longer clips, "
                "a higher frame rate or fewer frames."
            )
        if smallest < crop:
            raise InvalidInputError(
                f"The frames are {self.frames.shape[2]} x {self.frames.shape[1]}, too small for a crop of "
                f"{crop}; use larger frames or a smaller crop."
            )

    def draw(self, rng: np.random.Generator, num_frames: int, crop: int) -> Tensor:
        """A random run of frames of a random clip, cropped to a random square."""
        start = self._start(rng, num_frames)
        height, width = self.frames.shape[1:3]
        y, x = int(rng.integers(height - crop + 1)), int(rng.integers(width - crop + 1))
        return _as_drawn(self.frames[start : start + num_frames, y : y + crop, x : x + crop])

    def draw_whole(self, rng: np.random.Generator, num_frames: int) -> Tensor:
        """A random run of whole frames of a random clip."""
        start = self._start(rng, num_frames)
        return _as_drawn(self.frames[start : start + num_frames])

    def chosen(self, numbers: np.ndarray) -> Tensor:
        """Whole frames by their numbers."""
        return _as_drawn(self.frames[numbers])

    def _start(self, rng: np.random.Generator, num_frames: int) -> int:
        starts = np.concatenate([np.arange(a, b - num_frames + 1) for a, b in pairwise(self.offsets)])
        return int(rng.choice(starts))


def _as_drawn(clip: np.ndarray) -> Tensor:
    return rearrange(torch.from_numpy(np.array(clip)), "f h w c -> f c h w").float() / 255
