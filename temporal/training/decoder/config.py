"""Settings of the training of a temporal decoder; they travel as JSON inside its checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ...errors import InvalidInputError
from ..config import Settings


@dataclass(frozen=True)
class DecoderTrainingConfig(Settings):
    """Everything that decides what a run computes.

    `learning_rate` is relative to the size of the activations at each layer. `image_learning_rate`: 0 trains
    the temporal layers only, else the image model's decoder trains too, at that rate. `keep_still`: a clip in
    which nothing changes stays as the image decoder decodes it. `latent_noise`: noise on the latents of each
    frame, in parts of their spread; a diffusion model's latents are no better. Weights of the losses:
    `steadiness` (changes from frame to frame), `perceptual` (features), `adversarial` (from step
    `adversary_start` on; 0 for none).
    """

    num_frames: int = 8
    crop: int = 64  # pixels
    steps: int = 1000
    learning_rate: float = 1e-3
    final_learning_rate: float = 5e-5
    image_learning_rate: float = 0.0
    warmup: int = 20
    gradient_clip: float = 1.0
    ema: float = 0.99
    steadiness: float = 2.0
    perceptual: float = 0.1
    adversarial: float = 0.0
    adversary_start: int = 200
    adversary_learning_rate: float = 1e-4
    adversary_channels: int = 64
    latent_noise: float = 0.05
    keep_still: bool = True
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_at_least_one("num_frames", "steps", "adversary_channels")
        if self.crop < 32 or self.crop % 8:
            raise InvalidInputError(f"crop is {self.crop}; give a multiple of 8 from 32 on.")
        for name in ("steadiness", "perceptual", "adversarial", "latent_noise", "image_learning_rate"):
            if getattr(self, name) < 0:
                raise InvalidInputError(f"{name} is {getattr(self, name)}; give 0 for none, or more.")
        self._check_below_one("ema")
        self._check_precision(self.precision)
