"""Preparation that every training of temporal layers in a graph begins with: clips, layers, memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from ....temporal.errors import IncompatibleModelError
from ....temporal.formats import trained_betas
from ....temporal.stack.stack import StackConfig, TemporalStack
from ....temporal.training.config import TrainingConfig
from ....temporal.training.data.buckets.source import Clips
from ....temporal.training.lora.layers import LowRank
from ....temporal.training.memory.recompute import Memory
from ..patcher import original_weights
from .data.buckets import prepare_data
from .data.encoding import Footage
from .estimate import Step, level_for
from .kinds import TrainedModel
from .models import Checkpoint, training_device


@dataclass(frozen=True)
class Wanted:
    """Wishes of an artist: settings of training, the level of memory, whether to go on."""

    config: TrainingConfig
    memory: str
    resume: bool


@dataclass(frozen=True)
class Prepared:
    """Parts that a training in a graph works with. `layers`: the given ones, or those that are to be made."""

    kind: TrainedModel
    layers: StackConfig
    clips: Clips
    memory: Memory
    dtype: torch.dtype
    device: torch.device


def prepare(
    models: Checkpoint,
    footage: Footage,
    wanted: Wanted,
    stack: TemporalStack | None,
    lora: Callable[[TemporalStack], LowRank] | None = None,
) -> Prepared:
    """Encode the clips and choose the level of memory; layers that are given train on their own betas.

    `lora` makes factors that train in the place of the layers. Raises VideoLDMError for what an artist can
    change.
    """
    device, config = training_device(), wanted.config
    if models.enlarges:
        raise IncompatibleModelError(
            "The MODEL is the SD x4 upscaler, whose layers learn from patches of clips. Train them with "
            "python -m video_ldm.training, or connect an SD 1.x, SD 2.x or SDXL model."
        )
    if device.type != "cpu":
        config = replace(config, precision="bf16")
    betas = None if stack is None else trained_betas(stack)
    if betas is not None:  # a distilled schedule leaves out most steps, and training needs them all
        models = models.on_betas(replace(betas, lcm_steps=None))
    kind = TrainedModel(models, config)
    layers = kind.new_layers() if stack is None else stack.config
    clips = prepare_data(footage, kind)
    step = Step(models.model, layers, config, kind.step_size(clips), lora)
    level, _ = level_for(step, wanted.memory, device)
    return Prepared(kind, layers, clips, Memory(level), step.dtype, device)


def copy_of_layers(patcher: Any) -> TemporalStack:
    """The layers of a patcher once more, in float32, with weights of their own."""
    stack = TemporalStack(patcher.model.config)
    weights = original_weights(patcher)
    stack.load_state_dict({name: weight.detach().float().cpu() for name, weight in weights.items()})
    return stack
