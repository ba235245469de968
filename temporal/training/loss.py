"""Denoising loss of the temporal layers (Video LDM, equations 2 and 3).

Shapes: prediction, target ((b f) c h w); weight ((b f),).
"""

from __future__ import annotations

from einops import reduce
from torch import Tensor


def denoising_loss(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared error over all frames, given ones included, in float32 (scalar).

    Frames can be weighted.
    """
    error = reduce((prediction.float() - target.float()).square(), "n c h w -> n", "mean")
    return (error if weight is None else weight * error).mean()
