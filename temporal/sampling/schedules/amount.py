"""Strength of temporal layers and of attention between frames, by frame, place and part of the sampling.

Shapes: f frames, h w size of a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Amount:
    """A number, or one for each frame, of which the last goes on; `outside` where the mask (f h w) is 0."""

    numbers: tuple[float, ...] = (1.0,)
    mask: Tensor | None = None
    outside: float = 0.0

    def of(self, frames: Sequence[int]) -> float | Tensor:
        """The amount of some frames: one number, or (f 1 1), or (f h w)."""
        if len(self.numbers) == 1 and self.mask is None:
            return self.numbers[0]
        last = len(self.numbers) - 1
        numbers = torch.tensor([self.numbers[min(frame, last)] for frame in frames]).reshape(-1, 1, 1)
        if self.mask is None:
            return numbers
        mask = self.mask[[min(frame, len(self.mask) - 1) for frame in frames]].float().cpu()
        return self.outside + mask * (numbers - self.outside)


@dataclass(frozen=True, eq=False)
class Change:
    """Strength and motion of temporal layers in a part of the sampling."""

    strength: Amount = field(default_factory=Amount)
    motion: Amount = field(default_factory=Amount)
    start_percent: float = 0.0
    end_percent: float = 1.0


def numbers_of(value: float | Sequence[float]) -> tuple[float, ...]:
    """One number or a list of them, as a tuple."""
    if isinstance(value, list | tuple):
        return tuple(map(float, value))
    return (float(cast(float, value)),)
