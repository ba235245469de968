"""Names of the weights of Stable Video Diffusion's autoencoder: the original's and diffusers'.

diffusers has linear layers where the original has 1 x 1 convolutions, and counts the decoder's levels from
the lowest resolution up.
"""

import re
from collections.abc import Mapping

from torch import Tensor

LEVEL = re.compile(r"(up|down)_blocks\.(\d+)\.(resnets|(?:up|down)samplers\.0)\.")
ORIGINAL_LEVEL = re.compile(r"(?<=coder\.)(up|down)\.(\d+)\.(block|(?:up|down)sample)\.")
BLOCK = re.compile(r"(decoder\..+\.resnets\.\d+\.)(?!temporal_res_block\.)(.+)")
MIX = "mix_factor"
RENAMED = (  # diffusers, original; in this order
    ("conv_shortcut.", "nin_shortcut."),
    ("temporal_res_block.norm1.", "time_stack.in_layers.0."),
    ("temporal_res_block.conv1.", "time_stack.in_layers.2."),
    ("temporal_res_block.norm2.", "time_stack.out_layers.0."),
    ("temporal_res_block.conv2.", "time_stack.out_layers.3."),
    ("mid_block.resnets.0.", "mid.block_1."),
    ("mid_block.resnets.1.", "mid.block_2."),
    ("mid_block.attentions.0.group_norm.", "mid.attn_1.norm."),
    ("mid_block.attentions.0.to_out.0.", "mid.attn_1.proj_out."),
    ("mid_block.attentions.0.to_", "mid.attn_1."),
    ("conv_norm_out.", "norm_out."),
    ("time_conv_out.", "conv_out.time_mix_conv."),
)


def as_original(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by diffusers' names (decoder. ..., encoder. ...) by the original's."""
    levels = _levels(LEVEL, tensors)
    return {
        original_name(key, levels): tensor[..., None, None]
        if "attentions" in key and tensor.ndim == 2
        else tensor
        for key, tensor in tensors.items()
    }


def as_diffusers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The reverse of `as_original`."""
    levels = _levels(ORIGINAL_LEVEL, tensors)
    return {
        diffusers_name(key, levels): tensor.flatten(1) if ".attn_1." in key and tensor.ndim == 4 else tensor
        for key, tensor in tensors.items()
    }


def original_name(key: str, levels: int) -> str:
    """The original's name of one weight, from diffusers'."""
    if found := LEVEL.search(key):
        side, level, part = found.groups()
        part = "block" if part == "resnets" else f"{side}sample"
        key = key.replace(found[0], f"{side}.{_level(side, level, levels)}.{part}.")
    key = key.replace("spatial_res_block.", "").replace("time_mixer.", "")
    for theirs, original in RENAMED:
        key = key.replace(theirs, original)
    return key


def diffusers_name(key: str, levels: int) -> str:
    """The reverse of `original_name`."""
    if found := ORIGINAL_LEVEL.search(key):
        side, level, part = found.groups()
        part = "resnets" if part == "block" else f"{side}samplers.0"
        key = key.replace(found[0], f"{side}_blocks.{_level(side, level, levels)}.{part}.")
    for theirs, original in RENAMED:
        key = key.replace(original, theirs)
    if found := BLOCK.fullmatch(key):
        block, part = found.groups()
        key = f"{block}{'time_mixer' if part == MIX else 'spatial_res_block'}.{part}"
    return key


def _levels(pattern: re.Pattern, keys: Mapping[str, Tensor]) -> int:
    return 1 + max((int(found[2]) for key in keys if (found := pattern.search(key))), default=0)


def _level(side: str, level: str, levels: int) -> int:
    return levels - 1 - int(level) if side == "up" else int(level)
