"""Train Motion LoRA inside a graph: the layers of a MODEL learn what a folder of clips does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ....temporal.errors import IncompatibleModelError
from ....temporal.formats import trained_betas
from ....temporal.formats.lora_writing import usual_spelling
from ....temporal.stack.stack import TemporalStack
from ....temporal.training.config import TrainingConfig
from ....temporal.training.lora.config import LoraConfig
from ....temporal.training.lora.files import new_lora, write_lora
from ....temporal.training.lora.layers import LowRank
from ....temporal.training.lora.trainer import LoraTrainer
from ....temporal.training.memory.recompute import Memory
from ..files import MOTION_LORA, new_path, write_new, written_line
from ..layers.attached.checks import check_base
from ..layers.attached.settings import KEY
from ..layers.motion_lora import add_motion_lora
from ..patcher import original_weights
from .data.clips import Footage, prepare_clips
from .estimate import Step, level_for
from .kinds import TrainedModel
from .lora import Lesson
from .models import Checkpoint, training_device
from .run import run, state_path
from .unet import private_unet


@dataclass(frozen=True)
class Wanted:
    """Wishes of an artist: settings of training and LoRA, the level of memory, whether to go on."""

    config: TrainingConfig
    settings: LoraConfig
    memory: str
    resume: bool


def train_motion_lora(
    models: Checkpoint, footage: Footage, name: str, wanted: Wanted
) -> tuple[Any, str, str]:
    """Train a motion LoRA: the MODEL with it, its file's name in `models/motion_lora`, and a line about it.

    An interrupted run leaves its state behind; with the same settings, `resume` goes on from it. Nothing in
    the given MODEL changes.
    """
    path, device, given = new_path(MOTION_LORA, name), training_device(), models.model
    patcher = layers_of(given)
    config, settings = wanted.config, wanted.settings
    if device.type != "cpu":
        config = replace(config, precision="bf16")
    betas = trained_betas(patcher.model)
    if betas is not None:  # a distilled schedule leaves out most steps, and training needs them all
        models = models.on_betas(replace(betas, lcm_steps=None))
    kind, stack = TrainedModel(models, config), patcher.model.config
    states = [state_path(f"{path.stem}.{part}") for part in ("looks", "lora")]
    same = json.dumps([config.to_json(), settings.to_json(), str(footage), stack.to_json()])
    with torch.inference_mode(False), torch.enable_grad():
        clips = prepare_clips(footage, kind)
        step = Step(models.model, stack, config, kind.step_size(clips), lambda made: new_lora(made, settings))
        level, _ = level_for(step, wanted.memory, device)
        lesson = Lesson(settings, kind, _own(patcher), clips, Memory(level))
        made: list[Path] = []

        def learn_motion(trainer: LoraTrainer, _looks: LowRank | None) -> None:
            run(trainer, states[1], same, wanted.resume)
            notes = lesson.notes(type(models.model.model).__name__, stack.family, trainer.step)
            with trainer.average.applied_to(trainer.lora):
                made.append(write_new(path, lambda to: _write(to, trainer, notes)))

        unet = private_unet(models.model, step.dtype, device)
        lesson.learn(unet, lambda trainer: run(trainer, states[0], same, wanted.resume), learn_motion)
    for state in states:
        state.unlink(missing_ok=True)
    return add_motion_lora(given, made[0].name, 1.0)[0], made[0].name, written_line(made[0], path)


def layers_of(model: Any) -> Any:
    """The patcher of the temporal layers that a MODEL got last.

    Raises IncompatibleModelError where it has none, or where a motion LoRA has changed them.
    """
    patchers = model.get_additional_models_with_key(KEY)
    if not patchers:
        raise IncompatibleModelError(
            "The MODEL has no temporal layers that could learn a motion. Put Load Temporal Layers before "
            "this node."
        )
    patcher = patchers[-1]
    check_base(model, patcher.model.config)
    if patcher.model.config.image_model is not None:
        raise IncompatibleModelError(
            "The temporal layers of the MODEL change the image model, too, which a motion LoRA cannot go "
            "with. Load layers that leave it as it is."
        )
    if patcher.patches:
        raise IncompatibleModelError(
            "The temporal layers of the MODEL already carry a motion LoRA, which would be learned anew. "
            "Connect the MODEL from before Load Motion LoRA."
        )
    return patcher


def _own(patcher: Any) -> TemporalStack:
    """The layers of a patcher once more, in float32, with weights of their own."""
    stack = TemporalStack(patcher.model.config)
    weights = original_weights(patcher)
    stack.load_state_dict({name: weight.detach().float().cpu() for name, weight in weights.items()})
    return stack


def _write(path: Path, trainer: LoraTrainer, notes: Mapping[str, object]) -> None:
    write_lora(path, trainer.lora, trainer.stack, trainer.settings, usual_spelling(trainer.stack), notes)
