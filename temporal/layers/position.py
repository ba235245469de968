"""Position of a frame in time, and the frame rate, as embeddings.

Shapes: f frames, n numbers, c channels of a layer, e channels of the UNet's time embedding.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


def sinusoid(values: Tensor, channels: int, max_period: float) -> Tensor:
    """Sinusoidal embedding (n channels) of values (n,).

    Cosines, then sines, periods 2 pi to 2 pi max_period.
    """
    half = channels // 2
    exponents = torch.arange(half, device=values.device, dtype=torch.float32) / half
    angles = values.float()[:, None] * torch.exp(-math.log(max_period) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


class FramePositions(nn.Module):
    """Sinusoidal frame positions refined by a small MLP (Video LDM, appendix D)."""

    def __init__(self, channels: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.channels = channels
        self.linear_in = ops.Linear(channels, 4 * channels, **kwargs)
        self.linear_out = ops.Linear(4 * channels, channels, **kwargs)

    def forward(self, positions: Tensor, dtype: torch.dtype) -> Tensor:
        """Positions (f,), relative to the window's centre and possibly fractional, to (f c)."""
        table = sinusoid(positions, self.channels, max_period=10000).to(dtype)
        return table + self.linear_out(functional.silu(self.linear_in(table)))


class FrameTable(nn.Module):
    """The fixed table of the AnimateDiff family: sines and cosines in turn, counted from the first frame.

    It has no weights. Between whole frames it is the same function, so a longer clip may be squeezed into its
    length.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, positions: Tensor, dtype: torch.dtype) -> Tensor:
        """Positions (f,), possibly fractional, to (f c)."""
        exponents = torch.arange(0, self.channels, 2, device=positions.device)
        angles = (positions - positions.min())[:, None] * torch.exp(
            exponents * (-math.log(10000.0) / self.channels)
        )
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(dtype)


class FrameRateEmbedding(nn.Module):
    """Embedding of log2(fps), added to the UNet's time embedding.

    The general form of Video LDM's label for two frame rates (section 3.3).
    """

    def __init__(self, model_channels: int, channels: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.model_channels = model_channels
        self.linear_in = ops.Linear(model_channels, channels, **kwargs)
        self.linear_out = ops.Linear(channels, channels, **kwargs)

    def forward(self, fps: Tensor, dtype: torch.dtype) -> Tensor:
        """Frames per second (n,) to (n e)."""
        table = sinusoid(fps.float().log2(), self.model_channels, max_period=100).to(dtype)
        return self.linear_out(functional.silu(self.linear_in(table)))
