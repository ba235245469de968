"""Stable Video Diffusion's UNet, as published first and in diffusers' spelling.

The host has this network itself, temporal layers included, so the file goes to it as a whole, in the spelling
it reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..stack.plan import SD2
from ..weights.files import WeightsFile
from .keys import bystanders, check_keys, picked
from .signs import Sign
from .source import Source
from .unet_names import LAYERS, RESNET, image_names, pairs, transformer_block, unet_modules
from .unet_shapes import image_shapes
from .video_model import VideoModel

NAME = "Stable Video Diffusion"
SHAPE = SD2
# the noisy latent and that of the picture; frame rate, motion and noise, 256 numbers each
CHANNELS, LABEL = 8, 768
MIX = "time_mixer.mix_factor"
TEMPORAL_BLOCK = transformer_block((*LAYERS, "norm_in", "ff_in.net.0.proj", "ff_in.net.2"))


@dataclass(frozen=True)
class SvdFamily:
    """The UNet in one spelling."""

    spelling: str
    sign: Sign
    separable: bool = False  # the host has its temporal layers

    def recognise(self, file: WeightsFile) -> bool:
        """True if a file is Stable Video Diffusion so spelled."""
        return self.sign.fits(file.tensors)

    def load(
        self, file: WeightsFile, ops: Any, dtype: torch.dtype | None, device: torch.device | str | None
    ) -> VideoModel:
        """The UNet with its temporal layers, in the host's layout.

        Raises:
            CheckpointFormatError: a key is missing or unknown.
        """
        tensors, keys = file.tensors, self.keys()
        wanted = set(keys.values())
        others = bystanders(tensors.keys() - wanted)
        check_keys(file.path.name, NAME, wanted - tensors.keys(), tensors.keys() - wanted - others.keys())
        kinds = list(others.values())
        unused = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
        image = picked(file.path.name, NAME, tensors, keys, image_shapes(SHAPE, CHANNELS, label=LABEL))
        return VideoModel(NAME, image, Source(self.spelling, len(wanted), unused))

    @property
    def label(self) -> tuple[str, str]:
        """Family and spelling."""
        return NAME, self.spelling

    def called(self, file: WeightsFile) -> str:
        """The family, which is one."""
        return NAME

    def respelled(self, tensors: Mapping[str, Tensor], target: "SvdFamily") -> dict[str, Tensor]:
        """The weights of a file under the names of another spelling."""
        names = target.keys()
        return {names[host]: tensors[key] for host, key in self.keys().items()}

    def keys(self) -> dict[str, str]:
        """The file's key of every weight, by the host's."""
        return {host: name if self.spelling == "diffusers" else host for host, name in svd_names().items()}


def svd_names() -> Mapping[str, str]:
    """diffusers' name of every weight, by its name in the host."""
    names = image_names(SHAPE, ".spatial_res_block", label=True)
    for kind, host, other in unet_modules(SHAPE):
        if kind == "resnet":
            names |= pairs(
                {f"{host}.time_stack.{a}": f"{other}.temporal_res_block.{b}" for a, b in RESNET.items()}
            )
        elif kind == "transformer":
            blocks = f"{other}.temporal_transformer_blocks.0"
            names |= {f"{host}.time_stack.0.{name}": f"{blocks}.{name}" for name in TEMPORAL_BLOCK}
            positions = (
                (f"{host}.time_pos_embed.{i}", f"{other}.time_pos_embed.linear_{i // 2 + 1}") for i in (0, 2)
            )
            names |= pairs(dict(positions))
        if kind != "layer":
            names[f"{host}.{MIX}"] = f"{other}.{MIX}"
    return names


ORIGINAL = SvdFamily("original", Sign("", ("input_blocks.", ".time_stack.")))
DIFFUSERS = SvdFamily("diffusers", Sign("", (".temporal_transformer_blocks.",)))
