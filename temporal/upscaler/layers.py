"""Layers of the pixel-space upscaler. Norms look at one place, so a tile is computed as the whole frame is.

Shapes: b clips, f frames, c channels, h w size, e channels of the embedding of the noise levels.
"""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..layers.attention import FrameAttention
from ..layers.mixing import blend, effective_alpha, new_mix_factor, zero_init
from ..layers.position import FramePositions, sinusoid
from ..sampling.clip import Clip

EPSILON = 1e-4


def place_norm(x: Tensor) -> Tensor:
    """(n c h w) with a root mean square of 1 over the channels of each place."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPSILON)


class LevelEmbedding(nn.Module):
    """Embedding of the two noise levels: of what is made, and of the given frames."""

    def __init__(self, channels: int, embedding: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.channels = channels
        self.linear_in = ops.Linear(2 * channels, embedding, **kwargs)
        self.linear_out = ops.Linear(embedding, embedding, **kwargs)

    def forward(self, time: Tensor, level: Tensor, dtype: torch.dtype) -> Tensor:
        """Noise levels time and level ((b f),), both in 0..1, to ((b f) e)."""
        tables = [sinusoid(1000 * value, self.channels, max_period=10000) for value in (time, level)]
        return self.linear_out(functional.silu(self.linear_in(torch.cat(tables, dim=1).to(dtype))))


class SpatialBlock(nn.Module):
    """Residual block of two 3 x 3 convolutions in each frame.

    The noise levels scale and shift between them.
    """

    def __init__(self, inputs: int, channels: int, embedding: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.conv_in = ops.Conv2d(inputs, channels, 3, padding=1, **kwargs)
        self.levels = ops.Linear(embedding, 2 * channels, **kwargs)
        self.conv_out = zero_init(ops.Conv2d(channels, channels, 3, padding=1, **kwargs))
        self.skip = ops.Conv2d(inputs, channels, 1, **kwargs) if inputs != channels else nn.Identity()

    def forward(self, hidden: Tensor, emb: Tensor) -> Tensor:
        """Hidden ((b f) c h w) and embedding ((b f) e) to ((b f) c h w)."""
        x = self.conv_in(functional.silu(place_norm(hidden)))
        scale, shift = rearrange(self.levels(functional.silu(emb)), "n c -> n c 1 1").chunk(2, dim=1)
        x = self.conv_out(functional.silu(torch.addcmul(shift, place_norm(x), 1 + scale)))
        return self.skip(hidden) + x


class TemporalBlock(nn.Module):
    """Two convolutions along the frames and, where there are heads, attention over them.

    A new one is the identity.

    At the ends of a window a frame is its own neighbour; so is a single frame.
    """

    def __init__(self, channels: int, heads: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.conv_in = ops.Conv2d(channels, channels, (3, 1), **kwargs)
        self.conv_out = zero_init(ops.Conv2d(channels, channels, (3, 1), **kwargs))
        self.attention = None
        if heads:
            positions = FramePositions(channels, ops, **kwargs)
            self.attention = FrameAttention(channels, heads, positions, ops, **kwargs)
        self.mix_factor = new_mix_factor(**kwargs)

    def forward(self, hidden: Tensor, clip: Clip) -> Tensor:
        """Hidden ((b f) c h w) to the same shape, alpha * spatial + (1 - alpha) * temporal."""
        if clip.strength == 0:
            return hidden
        x = _along_frames(self.conv_in, functional.silu(place_norm(hidden)), clip.num_frames)
        x = hidden + _along_frames(self.conv_out, functional.silu(place_norm(x)), clip.num_frames)
        if self.attention is not None:
            tokens = rearrange(place_norm(x), "n c h w -> n (h w) c")
            x = x + rearrange(self.attention(tokens, clip), "n (h w) c -> n c h w", h=x.shape[2])
        return blend(hidden, x, effective_alpha(self.mix_factor, None, clip.strength))


def _along_frames(conv: nn.Module, x: Tensor, num_frames: int) -> Tensor:
    """Convolve ((b f) c h w) over frames.

    Seen as an image whose rows are frames and whose columns are places.
    """
    rows = rearrange(x, "(b f) c h w -> b c f (h w)", f=num_frames)
    rows = conv(torch.cat([rows[:, :, :1], rows, rows[:, :, -1:]], dim=2))
    return rearrange(rows, "b c f (h w) -> (b f) c h w", h=x.shape[2])
