"""Position of a frame in time, as an embedding or as a turn of queries and keys, and the frame rate.

Shapes: b clips, f frames, n numbers, c channels of a layer, d per head, e channels of the UNet's time
embedding.
"""

import math
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

ROTATED = 32  # channels of each head that turn with the position of the frame


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


def rotated(x: Tensor, positions: Tensor, heads: int) -> Tensor:
    """Turn pairs of neighbouring channels of queries or keys by the positions (f,) of their frames.

    Queries or keys (b f (heads d)).

    The first 32 channels of each head turn, with periods of 2 pi to 2 pi 10000 frames (Su et al., RoFormer).
    """
    x = rearrange(x, "b f (heads d) -> b f heads d", heads=heads)
    turning, still = x[..., :ROTATED], x[..., ROTATED:]
    angles = positions[:, None, None] * turns(turning.shape[-1]).to(x.device)
    cos, sin = angles.cos().to(x), angles.sin().to(x)
    even, odd = turning[..., 0::2], turning[..., 1::2]
    turned = torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)
    return rearrange(torch.cat([turned, still], dim=-1), "b f heads d -> b f (heads d)")


def turns(channels: int) -> Tensor:
    """Angle by which each pair of channels turns from frame to frame, in radians, (channels / 2,)."""
    return torch.exp(-math.log(10000) * torch.arange(0, channels, 2) / channels)
