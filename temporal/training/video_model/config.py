"""Settings of the training of a whole video model; they travel as JSON inside its checkpoint."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from ...errors import InvalidInputError
from ..config import Settings


@dataclass(frozen=True)
class VideoModelConfig(Settings):
    """Everything that decides what a run computes.

    `parts`: "temporal" trains the layers in time alone, "all" the image model's weights too. `noise_mean` and
    `noise_spread` are of ln sigma (edm.py). `without`: share of clips that are given no picture, for guidance
    at sampling. `picture_noise`: middle strength of the noise on the given picture, drawn log-normally with a
    spread of 0.5 as in Stable Video Diffusion; 0 for none. `motion`: motion bucket that clips are labelled
    with.
    """

    num_frames: int = 14
    batch: int = 1
    steps: int = 1000
    learning_rate: float = 1e-5
    final_learning_rate: float = 1e-6
    warmup: int = 100
    weight_decay: float = 0.01
    gradient_clip: float = 1.0
    ema: float = 0.999
    parts: Literal["temporal", "all"] = "temporal"
    noise_mean: float = 0.7
    noise_spread: float = 1.6
    without: float = 0.1
    picture_noise: float = 0.05
    motion: int = 127
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_at_least_one("num_frames", "batch", "steps")
        for name in ("learning_rate", "final_learning_rate", "weight_decay", "picture_noise", "noise_spread"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise InvalidInputError(f"{name} is {value}; give 0 for none, or more.")
        self._check_below_one("ema", "without")
        if not self.gradient_clip > 0:
            raise InvalidInputError(f"gradient_clip is {self.gradient_clip}; give a number above 0.")
