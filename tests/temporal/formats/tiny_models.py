"""Weights of tiny video models in diffusers' spelling, for a UNet of the shape `SHAPE`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from video_ldm.temporal.formats import inside, lvdm, modelscope, svd
from video_ldm.temporal.formats.unet_shapes import image_shapes
from video_ldm.temporal.layers.picture import PictureConfig
from video_ldm.temporal.stack.plan import UNetShape
from video_ldm.temporal.stack.stack import TemporalStack

from ..tiny import sine_init

SHAPE = UNetShape(
    model_channels=32,
    channel_mult=(1, 1),
    num_res_blocks=(1, 1),
    transformer_depth=(1, 1),
    transformer_depth_output=(1, 1, 1, 1),
    transformer_depth_middle=1,
    context_dim=8,
    num_head_channels=8,
)


def svd_weights() -> dict[str, Tensor]:
    """Stable Video Diffusion; of its temporal layers only the names are right."""
    return _random(svd.DIFFUSERS.keys(), image_shapes(SHAPE, svd.CHANNELS, label=svd.LABEL))


def modelscope_weights() -> dict[str, Tensor]:
    """ModelScope, with `SHAPE` in the place of its own in `formats.lvdm`."""
    return weights_of(modelscope.DIFFUSERS)


def weights_of(family: Any) -> dict[str, Tensor]:
    """Any family whose UNet is `SHAPE`, under the names of its files."""
    stack = sine_init(TemporalStack(family.stack_config())).half()
    channels, convolutions = getattr(family, "in_channels", 4), isinstance(family, inside.InsideFamily)
    weights = _random(family.image_keys(), image_shapes(SHAPE, channels, linear=not convolutions))
    own = stack.state_dict()
    for key, names in family.temporal_keys(stack).items():
        for name, part in zip(names, own[key].chunk(len(names)), strict=True):
            is_conv = part.ndim == 4 and not convolutions
            weights[name] = (part[..., None] if is_conv else part).clone()
    queries = weights.get(lvdm.QUERIES)
    return weights if queries is None else {**weights, lvdm.QUERIES: queries[None]}


def narrow(family: Any) -> Any:
    """A family in the size of `SHAPE`; those of the LVDM line take it from `formats.lvdm`."""
    if isinstance(family, inside.InsideFamily):
        return replace(family, unet=SHAPE)
    if family.config.picture is None:
        return family
    return replace(family, config=replace(family.config, picture=PictureConfig(4, 2, 8, 1, 1)))


def _random(keys: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {key: torch.randn(shapes.get(host, (3, 2))).half() for host, key in keys.items()}
