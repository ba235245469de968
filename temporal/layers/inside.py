"""Attention over frames inside the image model's transformer blocks, which shares their projections.

Shapes: b clips, f frames, n tokens of a frame, c channels, d channels per head.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ..sampling.clip import AttentionFunction, Clip
from .attention import FrameAttention, in_slices
from .position import rotated

# of the relative bias: up to EXACT frames apart each distance has its own
BUCKETS, EXACT, FARTHEST = 32, 8, 32


@dataclass(frozen=True)
class InsideConfig:
    """Settings of temporal layers inside the transformers of an image model with norms over the clip.

    The norms are those of its ResBlocks.
    """

    positions: bool  # rotary positions and a relative bias; else only `causal` tells the order of the frames
    last: bool  # attention over frames after a block's feed-forward, else before it
    causal: bool  # the image's self-attention sees the first frame and the one before, not its own
    volume: bool  # convolutions over the clip before each transformer and after each resolution


class TurningAttention(FrameAttention):
    """Attention over frames with rotary positions and a bias by head and distance (LaVie, section 3.1)."""

    def __init__(self, channels: int, heads: int, ops: Any, **kwargs: Any) -> None:
        super().__init__(channels, heads, None, ops, **kwargs)
        self.bias = ops.Embedding(BUCKETS, heads, **kwargs)

    def attend(
        self, attention: AttentionFunction, q: Tensor, k: Tensor, v: Tensor, positions: Tensor
    ) -> Tensor:
        """Attend as `FrameAttention` does, with turned queries and keys and the bias."""
        bias = rearrange(self.bias(buckets(positions)), "q k heads -> heads q k").to(q)
        q, k = rotated(q, positions, self.heads), rotated(k, positions, self.heads)
        return in_slices(attention, q, k, v, self.heads, bias)


class InsideAttention(nn.Module):
    """Norm and self-attention over the frames at each place of the image, residual."""

    mix_factor = None

    def __init__(self, channels: int, heads: int, positions: bool, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.norm = ops.LayerNorm(channels, **kwargs)
        if positions:
            self.attention = TurningAttention(channels, heads, ops, **kwargs)
        else:
            self.attention = FrameAttention(channels, heads, None, ops, **kwargs)

    def forward(self, tokens: Tensor, clip: Clip) -> Tensor:
        """The temporal path: tokens ((b f) n c) to the same shape."""
        return tokens + self.attention(self.norm(tokens), clip)


def buckets(positions: Tensor) -> Tensor:
    """Rows (f f) of the relative bias for queries and keys at positions (f,).

    Exact distances, then logarithmic (T5).
    """
    offset = (positions[None, :] - positions[:, None]).round()
    distance = offset.abs()
    half = BUCKETS // 2
    steps = (distance.clamp(min=1) / EXACT).log() / math.log(FARTHEST / EXACT) * (half - EXACT)
    far = (EXACT + steps.long()).clamp(max=half - 1)
    return torch.where(distance < EXACT, distance.long(), far) + half * (offset > 0)


def first_and_previous(tokens: Tensor, num_frames: int) -> Tensor:
    """Tokens ((b f) n c) to those each frame attends to ((b f) 2n c).

    These are the tokens of the first frame and of the one before it.
    """
    frames = rearrange(tokens, "(b f) n c -> b f n c", f=num_frames)
    first = frames[:, :1]
    previous = torch.cat([first, frames[:, :-1]], dim=1)
    seen = torch.cat([first.expand_as(frames), previous], dim=2)
    return rearrange(seen, "b f n c -> (b f) n c")
