"""Learning of a motion LoRA: first the looks of single frames, then the motion beside them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

import torch
from torch import nn

from ....temporal.stack.stack import TemporalStack
from ....temporal.training.config import TrainingConfig
from ....temporal.training.data.buckets.source import Clips, clips_hash
from ....temporal.training.loop import Surroundings
from ....temporal.training.lora.config import LoraConfig
from ....temporal.training.lora.files import new_image_lora, new_lora
from ....temporal.training.lora.layers import LowRank
from ....temporal.training.lora.trainer import LoraTrainer
from ....temporal.training.memory.recompute import Memory
from ....temporal.training.watching.frozen import some_numbers
from .kinds import TrainedModel
from .unet import blocks_of

logger = logging.getLogger(__name__)
Train = Callable[[LoraTrainer], None]


@dataclass(frozen=True)
class Lesson:
    """Source of a motion LoRA: layers and the image model they are for, clips, settings."""

    settings: LoraConfig
    kind: TrainedModel
    stack: TemporalStack
    clips: Clips
    memory: Memory
    workers: int = 0

    def learn(
        self, unet: nn.Module, looks: Train, motion: Callable[[LoraTrainer, LowRank | None], None]
    ) -> None:
        """Let `looks` train a LoRA of the frozen UNet, unless none is wanted, and `motion` one of the layers.

        `motion` is also given the LoRA of the looks, which stays beside the UNet until it is done.
        """
        config, device = self.kind.config, next(unet.parameters()).device
        self.stack.to(device, torch.bfloat16 if config.precision == "bf16" else torch.float32)  # frozen
        torch.manual_seed(config.seed)
        with ExitStack() as beside, self.memory.used_by(blocks_of(unet, self.stack)):
            learned = None
            if self.settings.looks_steps:
                learned = new_image_lora(unet, self.settings)
                beside.enter_context(learned.beside(unet))
                trainer = self._trainer(learned, unet, of_frames(config, self.settings.looks_steps))
                trainer.strength = 0.0
                logger.info("learning the looks of the clips from single frames")
                looks(trainer)
                freeze(learned, trainer)
            lora = new_lora(self.stack, self.settings)
            beside.enter_context(lora.beside(self.stack))
            motion(self._trainer(lora, unet, config), learned)

    def notes(self, base: str, module: str, step: int) -> dict[str, object]:
        """Notes in the file on how it was made."""
        return {
            "base": base,
            "module": module,
            "family": self.stack.config.family,
            "data": clips_hash(self.clips),
            "clips": len(self.clips),
            "training": self.kind.config.to_json(),
            "steps": step,
        }

    def _trainer(self, lora: LowRank, unet: nn.Module, config: TrainingConfig) -> LoraTrainer:
        batches, device = self.kind.batches(self.clips, config), next(unet.parameters()).device
        denoise = self.kind.models.denoiser(unet, self.memory.kept)
        frozen = some_numbers(unet, self.stack)
        around = Surroundings(denoise, batches, device.type, self.workers, self.memory, frozen)
        return LoraTrainer(lora, self.settings, self.stack, around)


def of_frames(config: TrainingConfig, steps: int) -> TrainingConfig:
    """The settings for single frames."""
    plain: Mapping[str, object] = {
        "patterns": {"none": 1.0},
        "reversed": {},
        "check_clips": 0,
        "known_noise": 0,
    }
    return replace(config, num_frames=1, other_lengths=(), strides=(1,), steps=steps, **plain)


def freeze(lora: LowRank, trainer: LoraTrainer) -> None:
    """Give factors their averages, for good."""
    with torch.no_grad():
        for name, factor in lora.named_parameters():
            factor.copy_(trainer.average.average[name])
    lora.requires_grad_(False)
