"""Colour and brightness of the enlarged frames are those of the given ones.

Shapes: n frames, c channels, h w size of the given frames, H W size of the enlarged ones.
"""

import torch
from torch import Tensor
from torch.nn import functional

HELD_SIGMA = 4.0  # given pixels


def hold_colours(residual: Tensor, scale: int) -> Tensor:
    """The residual (n c H W) without what a Gaussian of `HELD_SIGMA` given pixels lets through.

    What is added to the bicubic frames is detail: means over areas wider than some twelve given pixels stay theirs.
    """
    coarse = functional.avg_pool2d(residual, scale)
    soft = _blur(_blur(coarse).mT).mT
    return residual - functional.interpolate(
        soft, scale_factor=float(scale), mode="bilinear", align_corners=False
    )


def _blur(x: Tensor) -> Tensor:
    """Gaussian along the last axis; at an edge, the weights of what lies inside count."""
    radius = round(3 * HELD_SIGMA)
    offsets = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (offsets / HELD_SIGMA) ** 2).reshape(1, 1, 1, -1)
    rows = x.reshape(-1, 1, 1, x.shape[-1])
    inside = functional.conv2d(torch.ones_like(rows[:1]), kernel, padding=(0, radius))
    return (functional.conv2d(rows, kernel, padding=(0, radius)) / inside).reshape(x.shape)
