"""A trained LoRA as a file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from ...formats import lora_writing
from ...formats.lora_names import LoraPlace, chosen_places, usual_kinds
from ...stack.low_rank import Changed
from ...stack.stack import TemporalStack
from ...weights.files import write_weights
from .config import LoraConfig
from .layers import LowRank

IMAGE_ATTENTION = re.compile(r"transformer_blocks\.\d+\.attn[12]\.to_(?:[qkv]|out\.0)\.weight$")


def new_lora(stack: TemporalStack, config: LoraConfig) -> LowRank:
    """Factors for the layers that the settings name; raises InvalidInputError for unknown names."""
    changed = [Changed(place.weight, place.rows) for place in places_of(stack, config)]
    return LowRank(stack, changed, config.rank, config.scale)


def new_image_lora(unet: nn.Module, config: LoraConfig) -> LowRank:
    """Factors for the attention of an image model, in each frame and to the text."""
    names = [name for name, _ in unet.named_parameters() if IMAGE_ATTENTION.search(name)]
    return LowRank(unet, [Changed(name) for name in names], config.rank, config.scale)


def places_of(stack: TemporalStack, config: LoraConfig) -> list[LoraPlace]:
    """The places that a LoRA of these settings changes."""
    return chosen_places(stack, config.targets or usual_kinds(stack))


def write_lora(
    path: str | Path,
    lora: LowRank,
    stack: TemporalStack,
    config: LoraConfig,
    spelling: str,
    notes: Mapping[str, object],
) -> None:
    """Write the factors of temporal layers in a spelling of motion LoRAs."""
    names = {(place.weight, place.rows): place for place in places_of(stack, config)}
    changes = [
        lora_writing.LowRankChange(names[place.weight, place.rows], factors.up, factors.down, factors.scale)
        for place, factors in lora.pairs
    ]
    notes = {"rank": config.rank, "alpha": config.alpha or config.rank, "trigger": config.trigger, **notes}
    lora_writing.write_motion_lora(path, changes, stack, spelling, notes)


def write_image_lora(path: str | Path, lora: LowRank) -> None:
    """Write the factors of an image model in kohya's spelling with the host's names."""
    tensors = {}
    for place, factors in lora.pairs:
        module = lora_writing.FLAT + place.layer.replace(".", "_")
        tensors[f"{module}.lora_up.weight"] = factors.up.detach().to("cpu", torch.float16)
        tensors[f"{module}.lora_down.weight"] = factors.down.detach().to("cpu", torch.float16)
        tensors[f"{module}.alpha"] = torch.tensor(factors.scale * len(factors.down))
    write_weights(path, tensors, {})
