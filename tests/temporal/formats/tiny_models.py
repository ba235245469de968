"""Weights of tiny video models in diffusers' spelling, for a UNet of the shape `SHAPE`."""

from __future__ import annotations

import torch
from torch import Tensor
from video_ldm.temporal.formats import modelscope, svd
from video_ldm.temporal.formats.unet_shapes import image_shapes
from video_ldm.temporal.plan import UNetShape
from video_ldm.temporal.stack import TemporalStack

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
    family = modelscope.DIFFUSERS
    stack = sine_init(TemporalStack(family.stack_config())).half()
    weights = _random(family.image_keys(), image_shapes(SHAPE))
    for own, keys in family.temporal_keys(stack).items():
        for key, part in zip(keys, stack.state_dict()[own].chunk(len(keys)), strict=True):
            weights[key] = part[..., None].clone() if part.ndim == 4 else part.clone()  # a convolution
    return weights


def _random(keys: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {key: torch.randn(shapes.get(host, (3, 2))).half() for host, key in keys.items()}
