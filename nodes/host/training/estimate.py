"""Memory of a training step, counted on the meta device before the first one.

Shapes: latents (f c h w) of a clip.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import comfy.model_management as mm
import torch
from torch import nn

from ....temporal.sampling.clip import Clip
from ....temporal.stack.stack import StackConfig, TemporalStack
from ....temporal.training.config import TrainingConfig
from ....temporal.training.lora.layers import LowRank
from ....temporal.training.memory.levels import LEVELS, Level, Room, chosen_level, gibibytes
from ....temporal.training.memory.live import LiveMemory, flash_attention
from ....temporal.training.memory.recompute import recomputed
from ..layers.hooks import inserted
from ..memory import CPU, free_memory
from .unet import blocks_of, empty_unet

CONTEXT = 600 * 2**20  # bytes that a GPU's driver and libraries take
TEXT_TOKENS = 77


@dataclass(frozen=True)
class Step:
    """Parts of a training step: the image model, layers, settings, size of latents (c h w).

    `lora` makes the factors that train in the place of the layers themselves. `shares`: processes that share
    out what learns, so that each keeps a part of it.
    """

    model: Any
    stack: StackConfig
    config: TrainingConfig
    latent: tuple[int, int, int]
    lora: Callable[[TemporalStack], LowRank] | None = None
    shares: int = 1

    @property
    def dtype(self) -> torch.dtype:
        """Numbers that are computed with."""
        return torch.bfloat16 if self.config.precision == "bf16" else torch.float32


def level_for(step: Step, name: str, device: torch.device) -> tuple[Level, str]:
    """The level of memory of a run, and a line on what it takes.

    Raises InvalidInputError where the training does not fit, with the level that would.
    """
    mm.unload_all_models()  # what encoded the clips is not needed now
    alone = device.type == "cpu"  # then all is in main memory, which is counted once

    @functools.cache
    def needed(level: Level) -> Room:
        room = needs(step, level)
        return Room(room.device + room.main) if alone else room

    levels = [level for level in LEVELS.values() if level.shares or step.shares == 1]
    free = Room(int(free_memory(device)), 0 if alone else int(free_memory(CPU)))
    level = chosen_level(name, needed, free, levels)
    return level, f"memory {level.name}: about {needed(level)} of {gibibytes(free.device)} that are free"


def needs(step: Step, level: Level) -> Room:
    """Bytes at the peak of a step."""
    with torch.device("meta"):
        unet = empty_unet(step.model, step.dtype, "meta")
        stack = TemporalStack(step.stack, dtype=step.dtype)
        lora = None if step.lora is None else step.lora(stack)
    learns = stack if lora is None else lora
    trained = _count(learns.parameters())
    fixed = _bytes(unet.parameters()) + (0 if lora is None else _bytes(stack.parameters()))
    halved = step.dtype != torch.float32 and lora is None and level.optimiser_on_cpu
    copies = 0 if halved or step.dtype == torch.float32 else 2 * trained  # made by autocast
    learning = copies + trained * level.bytes_on_device(2 if halved else 4)
    if step.shares > 1:
        learning = trained * level.bytes_on_device(4) // step.shares + _whole_parts(stack, step.dtype)
    return Room(
        fixed + learning + CONTEXT + activations(step, level.recompute, unet, stack, lora),
        trained * level.bytes_in_main_memory // step.shares,
    )


def activations(
    step: Step, recompute: bool, unet: nn.Module, stack: TemporalStack, lora: LowRank | None
) -> int:
    """Bytes of all that is kept for the backward pass, and of what that makes, at the peak."""
    config = step.config
    shown = 2 if config.contrast else 1  # clips with their opposite captions
    frames, new = shown * config.batch * config.num_frames, {"dtype": step.dtype, "device": "meta"}
    stack.requires_grad_(lora is None)
    unet.requires_grad_(False)
    for weight in (stack if lora is None else lora).parameters():
        weight.data = weight.data.to(step.dtype)
        weight.grad = torch.empty_like(weight)  # counted for every weight by `bytes_on_device`
    noisy, mask = torch.empty(frames, *step.latent, **new), torch.empty(frames, **new)
    known: dict[str, Any] = {"known_latents": noisy, "known_mask": mask} if step.stack.known_frames else {}
    options = {"optimized_attention_override": lambda _host, *args, **kwargs: flash_attention(*args)}
    given: dict[str, Any] = {"transformer_options": options}
    if unet.num_classes == "sequential":  # SDXL
        given["y"] = torch.empty(frames, step.model.model.adm_channels, **new)
    elif unet.num_classes is not None:  # the x4 upscaler
        given["y"] = torch.zeros(frames, dtype=torch.int64, device="meta")
    context = torch.empty(frames, TEXT_TOKENS, step.stack.unet.context_dim, **new)
    with ExitStack() as run:
        if recompute:
            run.enter_context(recomputed(blocks_of(unet, stack)))
        if lora is not None:
            run.enter_context(lora.beside(stack))
        memory = run.enter_context(LiveMemory())
        clip = stack.prepare(Clip(config.num_frames, attention=flash_attention, **known), noisy)
        run.enter_context(inserted(unet, stack, clip))
        unet(noisy, mask, context=context, **given).square().mean().backward()
    return memory.peak


def _whole_parts(stack: TemporalStack, dtype: torch.dtype) -> int:
    """Bytes of the layer that computes and of the next one, and of its gradients while they are added up."""
    largest = max(_count(layer.parameters()) for layer in stack.layers.values())
    return largest * (3 * dtype.itemsize + 4)


def _count(weights: Any) -> int:
    return sum(weight.numel() for weight in weights)


def _bytes(weights: Any) -> int:
    return sum(weight.numel() * weight.element_size() for weight in weights)
