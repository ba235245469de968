"""Training of a pixel-space video upscaler on patches (Video LDM, section 3.4).

First its spatial weights, at the start on what the given frames tell alone, then its layers in time.

Shapes: b clips, f frames, given ((b f) 3 h w) and large ((b f) 3 H W) in 0..1, levels ((b f),).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from ..errors import IncompatibleModelError, InvalidInputError
from ..sampling.clip import Clip
from ..upscaler.model import VideoUpscaler, enlarge
from ..upscaler.noise import add_noise, mixed_noise, velocity
from .config import Settings
from .ema import ExponentialMovingAverage
from .trainer import Trainer, computing_in, learning_rate, parameter_groups

Stage = Literal["given", "spatial", "temporal"]
# step -> given, large; the same step always gives the same patches
Draw = Callable[[int], tuple[Tensor, Tensor]]
CLEAN_SHARE = 0.5  # of the clips are given without noise
PURE_SHARE = 0.2  # of what is made is nothing but noise, as where sampling begins


@dataclass(frozen=True)
class UpscalerTrainingConfig(Settings):
    """Everything that decides what a run computes, beside its patches.

    The first `spatial_steps` train the upscaler of single pictures, the others its temporal layers alone. The
    first `given_steps` of the spatial ones show it clean given frames and no enlarged ones, not even as
    noise: it learns first what a given frame tells, which it overlooks for long beside many channels of
    noise. Each of the stages has its own warm-up, decay of the rate and average.
    """

    num_frames: int = 8
    steps: int = 10000
    spatial_steps: int = 5000
    given_steps: int = 0
    learning_rate: float = 1e-3
    final_learning_rate: float = 5e-5
    warmup: int = 100
    weight_decay: float = 0.0
    gradient_clip: float = 1.0
    ema: float = 0.995
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_at_least_one("num_frames", "steps")
        if not 0 <= self.spatial_steps <= self.steps:
            raise InvalidInputError(
                f"spatial_steps is {self.spatial_steps} of {self.steps} steps; give a number from 0 to all "
                "of them."
            )
        if not 0 <= self.given_steps <= self.spatial_steps:
            raise InvalidInputError(
                f"given_steps is {self.given_steps} of {self.spatial_steps} spatial steps; give a number "
                "from 0 to all of them."
            )
        self._check_precision(self.precision)

    def stage(self, step: int) -> Stage:
        """The part that trains at a step."""
        if step < self.given_steps:
            return "given"
        return "spatial" if step < self.spatial_steps else "temporal"

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        first, last = self._stages()[self.stage(step)]
        return learning_rate(
            step - first, self.learning_rate, self.final_learning_rate, self.warmup, last - first
        )

    def _stages(self) -> dict[Stage, tuple[int, int]]:
        """First step of every stage, and the one after its last."""
        return {
            "given": (0, self.given_steps),
            "spatial": (self.given_steps, self.spatial_steps),
            "temporal": (self.spatial_steps, self.steps),
        }


def usual_given_steps(spatial_steps: int, new: bool) -> int:
    """A fifth of the spatial steps of a new upscaler; one that exists has learned what they teach."""
    return spatial_steps // 5 if new else 0


class UpscalerTrainer(Trainer):
    """Holds the upscaler, the optimiser of the stage it is in and the average of what trains there."""

    def __init__(
        self, upscaler: VideoUpscaler, draw: Draw, config: UpscalerTrainingConfig, device: str = "cpu"
    ) -> None:
        self.upscaler, self.draw, self.config, self.device = upscaler, draw, config, device
        self.step = 0
        self.losses: list[float] = []
        self._enter(config.stage(0))

    @property
    def averaged(self) -> VideoUpscaler:
        """The upscaler; its average holds the weights of the stage."""
        return self.upscaler

    @property
    def clipped(self) -> list[nn.Parameter]:
        """Weights of the stage."""
        return self._training()

    def rate(self) -> float:
        """Learning rate of this step of its stage."""
        return self.config.rate(self.step)

    def train_step(self) -> float:
        """One optimiser step, in the next stage when this one is over."""
        if self.config.stage(self.step) != self.stage:
            self.finish_stage()
            self._enter(self.config.stage(self.step))
        return super().train_step()

    def backward(self) -> float:
        """Gradients of one batch of patches."""
        loss = self.loss(*self.draw(self.step))
        loss.backward()
        return loss.item()

    def loss(self, given: Tensor, large: Tensor) -> Tensor:
        """Mean squared error of v (scalar).

        The two noise levels are drawn apart from each other (Video LDM, equation 5).
        """
        given, large = given.to(self.device), large.to(self.device)
        config = self.upscaler.config
        residual = (large - enlarge(given, config.scale)) / config.residual_std
        # mixed, so that neighbouring steps and seeds have nothing in common
        mixed = np.random.SeedSequence([self.config.seed, self.step]).generate_state(1, np.uint64)[0] >> 1
        generator = torch.Generator().manual_seed(int(mixed))
        when, level = self._noise_levels(len(given), generator)
        noise = self._noise(residual.shape, generator)
        seen = add_noise(given * 2 - 1, torch.randn(given.shape, generator=generator).to(self.device), level)
        clip = Clip(self.config.num_frames, strength=float(self.stage == "temporal"))
        with computing_in(self.config.precision, self.device):
            v = self.upscaler(add_noise(residual, noise, when), seen, when, level, clip)
        return (v.float() - velocity(residual, noise, when)).square().mean()

    def _noise_levels(self, frames: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Noise levels of the enlarged frames and of the given ones ((b f),), in time one for each clip."""
        f = self.config.num_frames
        clips, per_frame = frames // f, self.stage != "temporal"
        when = torch.rand(frames if per_frame else clips, generator=generator)
        when = (when / (1 - PURE_SHARE)).clamp(max=1)
        when = when if per_frame else when.repeat_interleave(f)
        level = torch.rand(clips, generator=generator) * self.upscaler.config.max_noise_level
        level = level * (torch.rand(clips, generator=generator) >= CLEAN_SHARE)
        if self.stage == "given":
            when, level = torch.ones(frames), torch.zeros(clips)
        return when.to(self.device), level.repeat_interleave(f).to(self.device)

    def _noise(self, shape: torch.Size, generator: torch.Generator) -> Tensor:
        """Noise of the enlarged frames ((b f) 3 H W), in time with a part that the frames of a clip share.

        Zeros where the given frames are all there is.
        """
        if self.stage == "given":
            return torch.zeros(shape, device=self.device)
        noise, share = torch.randn(shape, generator=generator), self.upscaler.config.shared_noise
        if share and self.stage == "temporal":
            f = self.config.num_frames
            shared = torch.randn(shape[0] // f, *shape[1:], generator=generator)
            noise = mixed_noise(noise, shared.repeat_interleave(f, dim=0), share)
        return noise.to(self.device)

    def finish_stage(self) -> None:
        """Leave the averaged weights of the stage in the upscaler."""
        own = dict(self.upscaler.named_parameters())
        with torch.no_grad():
            for name, value in self.average.average.items():
                own[name].copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """Everything that a resumed run needs to continue bit for bit.

        Patches and noise follow from seed and step.
        """
        return {
            "format": "video_ldm.upscaler_training_state",
            "config": self.config.to_json(),
            "upscaler_config": self.upscaler.config.to_json(),
            "stage": self.stage,
            "step": self.step,
            "losses": self.losses,
            "upscaler": self.upscaler.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved run; raises IncompatibleModelError when it trained another upscaler."""
        if state.get("upscaler_config") != self.upscaler.config.to_json():
            raise IncompatibleModelError(
                "The training state belongs to an upscaler of another shape; resume with the same options."
            )
        self._enter(state["stage"])
        self.upscaler.load_state_dict(state["upscaler"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.step, self.losses = state["step"], list(state["losses"])

    def _enter(self, stage: Stage) -> None:
        self.stage = stage
        for parameter in self.upscaler.parameters():
            parameter.requires_grad_(False)
        for parameter in self._training():
            parameter.requires_grad_(True)
        self.optimizer = torch.optim.AdamW(
            parameter_groups(self.upscaler, self.config.weight_decay),
            self.config.learning_rate,
            betas=(0.9, 0.99),
            fused=True,
        )
        self.average = ExponentialMovingAverage(self.upscaler, self.config.ema)

    def _training(self) -> list[nn.Parameter]:
        if self.stage == "temporal":
            return list(self.upscaler.temporal_parameters())
        return list(self.upscaler.spatial_parameters())


def write_upscaler(path: str | Path, trainer: UpscalerTrainer, notes: dict[str, str]) -> None:
    """The averaged upscaler in float16, with notes on the run beside it."""
    from ..upscaler.formats import save_upscaler

    with trainer.average.applied_to(trainer.upscaler):
        half = VideoUpscaler(trainer.upscaler.config, dtype=torch.float16)
        half.load_state_dict(trainer.upscaler.state_dict())
    save_upscaler(path, half, {"training": trainer.config.to_json(), "step": str(trainer.step), **notes})
