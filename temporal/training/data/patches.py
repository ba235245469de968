"""The patches that training an upscaler draws from frames, and what they say about a new one.

Shapes: b patches, f frames; given ((b f) 3 h w), large ((b f) 3 H W), both in 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ...errors import InvalidInputError
from ...upscaler.config import UpscalerConfig
from ...upscaler.model import enlarge
from .frames import FrameStore

STATISTICS = 64  # patches measured for a new upscaler
NO_STEP = 2**31  # what is drawn with it is not what a step sees
LEAST_RESIDUAL = 0.002


@dataclass(frozen=True, eq=False)
class Patches:
    """Random patches of `side` given pixels.

    Frames of the store, and their means over squares of `scale` pixels.
    """

    store: FrameStore
    batch: int
    num_frames: int
    side: int
    scale: int
    seed: int

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """Given and large; the same step always gives the same patches."""
        return self.some(step, self.batch)

    def some(self, step: int, count: int) -> tuple[Tensor, Tensor]:
        """Draw as many patches as asked for."""
        rng = np.random.default_rng((self.seed, step))
        side = self.side * self.scale
        large = torch.cat([self.store.draw(rng, self.num_frames, side) for _ in range(count)])
        return functional.avg_pool2d(large, self.scale), large

    def check(self, config: UpscalerConfig) -> None:
        """Raise InvalidInputError where an upscaler cannot take the patches, or nothing holds one."""
        if self.batch < 1:
            raise InvalidInputError(f"A step sees {self.batch} patches; give 1 or more.")
        if self.side < 1 or self.side % config.multiple:
            raise InvalidInputError(
                f"A patch is {self.side} given pixels a side, but this upscaler takes multiples of "
                f"{config.multiple}; round it."
            )
        self.store.check(self.num_frames, self.side * self.scale)

    def measured(self, config: UpscalerConfig) -> UpscalerConfig:
        """The configuration with what these patches have beyond bicubic ones."""
        given, large = self.some(NO_STEP, STATISTICS)
        std = (large - enlarge(given, self.scale)).std().item()
        return replace(config, residual_std=max(LEAST_RESIDUAL, round(std, 4)))
