"""Train Temporal Layers inside a graph: new layers, or those of a MODEL, learn from a folder of clips."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ....temporal.errors import IncompatibleModelError
from ....temporal.formats import save_stack
from ....temporal.stack.stack import TemporalStack
from ....temporal.training.loop import LayersTrainer, Surroundings
from ....temporal.training.watching.frozen import some_numbers
from ..files import TEMPORAL_LAYERS, new_path, open_temporal_layers
from ..layers.attached.checks import check_base
from ..layers.attached.settings import KEY, LayerSettings
from ..layers.betas import AUTO, with_betas
from ..layers.insertion import add_temporal_layers
from ..layers.motion_lora import motion_loras_of
from .data.encoding import Footage
from .lesson import Wanted, copy_of_layers, prepare
from .models import Checkpoint
from .run import run_to_file, state_path
from .unet import blocks_of, private_unet

PART = ".layers"  # in the name of a state


def train_layers(models: Checkpoint, footage: Footage, name: str, wanted: Wanted) -> tuple[Any, str, str]:
    """Train temporal layers: the MODEL with them, their file's name in `models/temporal_layers`, and a line.

    A MODEL with layers goes on with the last ones, and has the new ones in their place. A stopped run keeps
    what it has learned; with the same settings, `resume` goes on from there. Nothing in the given MODEL
    changes.
    """
    path, given = new_path(TEMPORAL_LAYERS, name), models.model
    patcher = last_layers(given)
    if patcher is not None and not patcher.model.config.known_frames:
        wanted = replace(wanted, config=replace(wanted.config, patterns={"none": 1.0}, known_noise=0))
    with torch.inference_mode(False), torch.enable_grad():
        ready = prepare(models, footage, wanted, None if patcher is None else patcher.model)
        kind, memory = ready.kind, ready.memory
        torch.manual_seed(kind.config.seed)
        stack = TemporalStack(ready.layers) if patcher is None else copy_of_layers(patcher)
        unet = private_unet(kind.models.model, ready.dtype, ready.device)
        denoise, batches = kind.models.denoiser(unet, memory.kept), kind.batches(ready.clips)
        around = Surroundings(denoise, batches, ready.device.type, memory=memory, frozen=some_numbers(unet))
        trainer = LayersTrainer(stack.to(ready.device), around)
        same = json.dumps([kind.config.to_json(), str(footage), stack.config.to_json(), patcher is None])
        base = type(given.model).__name__
        with memory.used_by(blocks_of(unet, stack)):
            made, line = run_to_file(
                trainer,
                state_path(path.stem + PART),
                same,
                wanted.resume,
                path,
                lambda to: write_layers(to, trainer, base),
            )
    return _with_file(given, made.name), made.name, line


def last_layers(model: Any) -> Any | None:
    """The patcher of the temporal layers that a MODEL got last; None where it has none.

    Raises IncompatibleModelError for layers that cannot be trained on.
    """
    patchers = model.get_additional_models_with_key(KEY)
    if not patchers:
        return None
    patcher = patchers[-1]
    check_base(model, patcher.model.config)
    if patcher.model.config.image_model is not None:
        raise IncompatibleModelError(
            "The temporal layers of the MODEL brought an image model that was trained along, which a graph "
            "cannot train on. Use python -m video_ldm.training --train-image-model, or other layers."
        )
    if motion_loras_of(model, len(patchers) - 1):
        raise IncompatibleModelError(
            "The temporal layers of the MODEL carry a motion LoRA, which would be lost. Connect the MODEL "
            "from before Load Motion LoRA."
        )
    return patcher


def write_layers(path: Path, trainer: LayersTrainer, image_model: str) -> None:
    """Write the averaged layers in float16, with the settings of the run beside them.

    Processes that share the weights out all have to ask; the first one writes.
    """
    weights = {**trainer.weights.state_dict(), **trainer.whole_average()}
    if not trainer.engine.is_first:
        return
    half = TemporalStack(trainer.stack.config, dtype=torch.float16)
    if trainer.stack.image_changes is not None:
        half.train_image(trainer.stack.image_changes.shapes)
    half.load_state_dict(weights)
    notes = {"training": trainer.config.to_json(), "step": str(trainer.step), "image_model": image_model}
    save_stack(path, half, notes)


def _with_file(model: Any, name: str) -> Any:
    """Clone of a MODEL with the layers of a file: new ones, or in the place of those it got last."""
    opened = open_temporal_layers(name, model.load_device)
    patchers = model.get_additional_models_with_key(KEY)
    if not patchers:
        return with_betas(add_temporal_layers(model, opened.patcher, LayerSettings()), AUTO, opened.betas)
    patched = model.clone()
    patched.set_additional_models(KEY, [*patchers[:-1], opened.patcher])
    return patched
