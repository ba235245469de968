"""Batches for temporal layers of an upscaler that works in latents (SD x4).

Patches of clips, and their small frames with noise.

A frame in the cache holds its latent and, in further channels of the same grid, the small frame in -1..1.
Latents and small frames get the batch's noise alike; that of the small ones has a level of its own, which the
model is told (Video LDM, equation 5).

Shapes: latents ((b f) c h w); low_res ((b f) 3 h w); level (b,).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from einops import repeat
from torch import Tensor

from ...errors import InvalidInputError
from ..config import TrainingConfig
from ..noise_levels import NoiseLevels
from .batches import Batch, BatchSource
from .cache import ClipCache
from .conditions import Conditions

SMALL = 3  # channels of a small frame
USUAL_LEVEL = 20  # of the noise on the small frames that sample clips are made from


@dataclass(frozen=True)
class Enlarging:
    """Settings for the small frames that an upscaler is given.

    `side` of a patch in given pixels, noise levels and strongest level of their noise.
    """

    side: int
    noise_levels: NoiseLevels
    max_level: int
    scale: int = 4

    def check(self, height: int, width: int) -> None:
        """Raise InvalidInputError where small frames of a size do not hold a patch."""
        if not 1 <= self.side <= min(height, width):
            raise InvalidInputError(
                f"A patch is {self.side} given pixels a side, but the clips are {self.scale * width} x "
                f"{self.scale * height}, which is {width} x {height} before enlarging; give a --side from "
                f"1 to {min(height, width)}, or larger clips."
            )

    def conditions(self, small: Tensor, noise: Tensor, level: Tensor) -> Conditions:
        """Small frames ((b f) 3 h w) with noise of a level per clip."""
        level = repeat(level, "b -> (b f)", f=len(small) // len(level))
        return Conditions(low_res=self.noise_levels.add_noise(small, noise, level), level=level)


class PatchSource(BatchSource):
    """Draws a square patch of each clip, the same for all its frames, and how noisy its small frames are."""

    def __init__(
        self, cache: ClipCache, config: TrainingConfig, noise_levels: NoiseLevels, enlarging: Enlarging
    ) -> None:
        enlarging.check(*cache.latents.shape[-2:])
        super().__init__(cache, config, noise_levels)
        self.enlarging = enlarging

    @property
    def sample_shape(self) -> tuple[int, ...]:
        side = self.enlarging.side
        return self.config.num_frames, self.cache.latents.shape[1] - SMALL, side, side

    def sample_captions(self, count: int) -> list[str]:
        shown = dict.fromkeys(self._shown(number)[0] for number in range(count))
        return [self.cache.captions[self.cache.caption_ids[index]] for index in shown]

    def sample_conditions(self, numbers: Sequence[int]) -> Conditions:
        """Small frames of the clips that are shown, in their middle."""
        side, height, width = self.enlarging.side, *self.cache.latents.shape[-2:]
        y, x = (height - side) // 2, (width - side) // 2
        small, noise = [], []
        for number in numbers:
            index, stride = self._shown(number)
            frames = self.cache.clip(index, stride * np.arange(self.config.num_frames))
            small.append(frames[:, -SMALL:, y : y + side, x : x + side])
            noise.append(torch.randn(small[-1].shape, generator=torch.Generator().manual_seed(number)))
        level = torch.full((len(small),), min(USUAL_LEVEL, self.enlarging.max_level))
        return self.enlarging.conditions(torch.cat(small), torch.cat(noise), level)

    def _shown(self, number: int) -> tuple[int, int]:
        """Clip and stride of a sample."""
        stride, clips = self.clips[self.config.num_frames][0]
        return int(clips[number % len(clips)]), stride

    def _cut(self, clip: Tensor, generator: torch.Generator) -> Tensor:
        side = self.enlarging.side
        y, x = (int(torch.randint(size - side + 1, (1,), generator=generator)) for size in clip.shape[-2:])
        return clip[..., y : y + side, x : x + side]

    def _conditioned(self, batch: Batch, generator: torch.Generator) -> Batch:
        level = torch.randint(self.enlarging.max_level + 1, (self.config.batch,), generator=generator)
        return replace(
            batch,
            latents=batch.latents[:, :-SMALL],
            noise=batch.noise[:, :-SMALL],
            known_latents=batch.known_latents[:, :-SMALL],
            conditions=self.enlarging.conditions(batch.latents[:, -SMALL:], batch.noise[:, -SMALL:], level),
        )
