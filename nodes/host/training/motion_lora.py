"""Train Motion LoRA inside a graph: the layers of a MODEL learn what a folder of clips does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import torch

from ....temporal.errors import IncompatibleModelError
from ....temporal.formats.lora_writing import usual_spelling
from ....temporal.training.lora.config import LoraConfig
from ....temporal.training.lora.files import new_lora, write_lora
from ....temporal.training.lora.layers import LowRank
from ....temporal.training.lora.trainer import LoraTrainer
from ..files import MOTION_LORA, new_path
from ..layers.attached.checks import check_base
from ..layers.attached.settings import KEY
from ..layers.motion_lora import add_motion_lora, motion_loras_of
from .data.encoding import Footage
from .lesson import Wanted, copy_of_layers, prepare
from .lora import Lesson
from .models import Checkpoint
from .run import run, run_to_file, state_path
from .unet import private_unet

LOOKS, PART = ".looks", ".lora"  # in the names of states


def train_motion_lora(
    models: Checkpoint, footage: Footage, name: str, settings: LoraConfig, wanted: Wanted
) -> tuple[Any, str, str]:
    """Train a motion LoRA: the MODEL with it, its file's name in `models/motion_lora`, and a line about it.

    A stopped run keeps what it has learned of the motion; with the same settings, `resume` goes on from
    there. Nothing in the given MODEL changes.
    """
    path, given = new_path(MOTION_LORA, name), models.model
    patcher = layers_of(given)
    looks, motion = (state_path(path.stem + part) for part in (LOOKS, PART))
    made: list[tuple[Path, str]] = []
    with torch.inference_mode(False), torch.enable_grad():
        ready = prepare(models, footage, wanted, patcher.model, lambda stack: new_lora(stack, settings))
        stack = copy_of_layers(patcher)
        lesson = Lesson(settings, ready.kind, stack, ready.clips, ready.memory)
        same = json.dumps(
            [ready.kind.config.to_json(), settings.to_json(), str(footage), stack.config.to_json()]
        )

        def learn_looks(trainer: LoraTrainer) -> None:
            if not run(trainer, looks, same, wanted.resume):
                raise mm.InterruptProcessingException  # nothing of the motion is learned yet

        def learn_motion(trainer: LoraTrainer, _looks: LowRank | None) -> None:
            def write(to: Path) -> None:
                notes = lesson.notes(type(given.model).__name__, stack.config.family, trainer.step)
                with trainer.average.applied_to(trainer.lora):
                    _write(to, trainer, notes)

            made.append(run_to_file(trainer, motion, same, wanted.resume, path, write))

        lesson.learn(
            private_unet(ready.kind.models.model, ready.dtype, ready.device), learn_looks, learn_motion
        )
    if not motion.exists():
        looks.unlink(missing_ok=True)
    ((file, line),) = made
    return add_motion_lora(given, file.name, 1.0)[0], file.name, line


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
    if motion_loras_of(model, len(patchers) - 1):
        raise IncompatibleModelError(
            "The temporal layers of the MODEL already carry a motion LoRA, which would be learned anew. "
            "Connect the MODEL from before Load Motion LoRA."
        )
    return patcher


def _write(path: Path, trainer: LoraTrainer, notes: Mapping[str, object]) -> None:
    write_lora(path, trainer.lora, trainer.stack, trainer.settings, usual_spelling(trainer.stack), notes)
