"""Settings that a MODEL carries: how its temporal layers are used, and the clip that is made with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .....temporal.sampling.places import product
from .....temporal.sampling.schedules.amount import Change
from .....temporal.stack.stack import StackConfig

KEY = "video_ldm"
LORA_KEY = "video_ldm.motion_lora"
CLIP_KEY = "video_ldm.clip"
NORMS = AS_TRAINED, OLD_NORMS, ALL_NORMS = ("as trained", "as AnimateDiff-Evolved", "over the clip")
# whose frames that pack norms as one
OLD_NORM_FAMILIES = ("AnimateDiff v1", "AnimateDiff SDXL beta", "HotShot-XL", "PIA")
LONGER_CLIPS = REFUSE, SQUEEZE, CONVOLVE = ("refuse", "squeeze", "convolve")


@dataclass(frozen=True)
class LayerSettings:
    """Settings with which one file of temporal layers is used.

    Strength (1 as trained), alpha overrides by section, part of the sampling.

    `longer_clips`: what becomes of clips with more frames than the layers were trained for, one of
    `LONGER_CLIPS`.
    """

    strength: float = 1.0
    alphas: Mapping[str, float] = field(default_factory=dict)
    start_percent: float = 0.0
    end_percent: float = 1.0
    longer_clips: str = REFUSE
    norms: str = AS_TRAINED
    changes: tuple[Change, ...] = ()

    def amounts(
        self, sigma: float, model_sampling: Any, frames: Sequence[int], size: tuple[int, int]
    ) -> tuple[float | Tensor, float | Tensor]:
        """Strength and motion of some frames of a clip at a noise level: numbers, or (f h w)."""
        now = [c for c in self.changes if holds_at(c, sigma, model_sampling)]
        strengths = [self.strength, *(change.strength.of(frames) for change in now)]
        return product(strengths, *size), product([change.motion.of(frames) for change in now], *size)

    def norms_over_clip(self, config: StackConfig) -> bool:
        """True if every norm of the image model and of the layers takes its statistics over the clip."""
        return self.norms == ALL_NORMS or (self.norms == OLD_NORMS and config.family in OLD_NORM_FAMILIES)

    def positions(self, num_frames: int, max_frames: int) -> Tensor | None:
        """Positions of the frames (f,); None: counted."""
        if self.longer_clips != SQUEEZE or not max_frames or num_frames <= max_frames:
            return None
        return torch.linspace(0, max_frames - 1, num_frames)

    def acts_at(self, sigma: float, model_sampling: Any) -> bool:
        """True if the layers take part at a noise level."""
        return acts_at(self.start_percent, self.end_percent, sigma, model_sampling)


def acts_at(start_percent: float, end_percent: float, sigma: float, model_sampling: Any) -> bool:
    """True if a noise level lies in a part of the sampling."""
    start = model_sampling.percent_to_sigma(start_percent)
    return model_sampling.percent_to_sigma(end_percent) <= sigma <= start


def holds_at(part: Any, sigma: float, model_sampling: Any) -> bool:
    """True if a noise level lies in a part of the sampling that ends where the next one begins."""
    over = part.end_percent < 1 and sigma <= model_sampling.percent_to_sigma(part.end_percent)
    return not over and acts_at(part.start_percent, part.end_percent, sigma, model_sampling)


@dataclass(frozen=True)
class ClipSettings:
    """Facts on the clip that a sampler makes: frames per second."""

    fps: float = 8.0


def set_clip_settings(model: Any, settings: ClipSettings) -> Any:
    """Clone of a MODEL that makes clips with these settings."""
    patched = model.clone()
    patched.set_attachments(CLIP_KEY, settings)
    return patched
