"""Denoising loss of the temporal layers (paper equations 2 and 3).

Shapes: prediction, target ((b f) c h w).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def denoising_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error over all frames, given ones included, in float32 (scalar)."""
    return F.mse_loss(prediction.float(), target.float())
