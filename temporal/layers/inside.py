"""Attention over frames inside the image model's transformer blocks, whose projections and feed-forward it shares.

Shapes: b clips, f frames, n tokens of a frame, c channels, d channels per head.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ..clip import Clip
from .attention import distance_mask, in_slices
from .mixing import zero_init

ROTATED = 32  # channels of each head that turn with the position of the frame
BUCKETS, EXACT, FARTHEST = (
    32,
    8,
    32,
)  # of the relative bias: up to EXACT frames apart each distance has its own


@dataclass(frozen=True)
class InsideConfig:
    """How temporal layers sit inside the transformers of an image model whose ResBlocks take norms over the clip."""

    positions: bool  # rotary positions and a relative bias; else only `causal` tells the order of the frames
    last: bool  # attention over frames after a block's feed-forward, else before it
    causal: bool  # the image's self-attention sees the first frame and the one before, not its own
    volume: bool  # convolutions over the clip before each transformer and after each resolution


class InsideAttention(nn.Module):
    """Norm and self-attention over the frames at each place of the image, residual (LaVie, section 3.1)."""

    mix_factor = None

    def __init__(self, channels: int, heads: int, positions: bool, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.heads = heads
        self.norm = ops.LayerNorm(channels, **kwargs)
        self.qkv = ops.Linear(channels, 3 * channels, bias=False, **kwargs)
        self.bias = ops.Embedding(BUCKETS, heads, **kwargs) if positions else None
        self.out = zero_init(ops.Linear(channels, channels, **kwargs))

    def forward(self, tokens: Tensor, clip: Clip) -> Tensor:
        """The temporal path: tokens ((b f) n c) to the same shape."""
        frames = rearrange(self.norm(tokens), "(b f) n c -> (b n) f c", f=clip.num_frames)
        q, k, v = self.qkv(frames).chunk(3, dim=-1)
        positions, mask = clip.centred_positions(q.device).float(), None
        if clip.max_distance is not None:
            mask = distance_mask(positions, clip.max_distance).to(q)
        if self.bias is not None:
            bias = rearrange(self.bias(buckets(positions)), "q k heads -> heads q k").to(q)
            mask = bias if mask is None else bias + mask
            q, k = rotated(q, positions, self.heads), rotated(k, positions, self.heads)
        out = self.out(in_slices(clip.attention, q, k, v, self.heads, mask))
        return tokens + rearrange(out, "(b n) f c -> (b f) n c", n=tokens.shape[1])


def rotated(x: Tensor, positions: Tensor, heads: int) -> Tensor:
    """Queries or keys (b f (heads d)) with pairs of neighbouring channels turned by the positions (f,) of their frames.

    The first 32 channels of each head turn, with periods of 2 pi to 2 pi 10000 frames (Su et al., RoFormer).
    """
    x = rearrange(x, "b f (heads d) -> b f heads d", heads=heads)
    turning, still = x[..., :ROTATED], x[..., ROTATED:]
    exponents = torch.arange(0, turning.shape[-1], 2, device=x.device) / turning.shape[-1]
    angles = positions[:, None, None] * torch.exp(-math.log(10000) * exponents)
    cos, sin = angles.cos().to(x), angles.sin().to(x)
    even, odd = turning[..., 0::2], turning[..., 1::2]
    turned = torch.stack([even * cos - odd * sin, odd * cos + even * sin], dim=-1).flatten(-2)
    return rearrange(torch.cat([turned, still], dim=-1), "b f heads d -> b f (heads d)")


def buckets(positions: Tensor) -> Tensor:
    """Rows (f f) of the relative bias for queries and keys at positions (f,): exact distances, then logarithmic (T5)."""
    offset = (positions[None, :] - positions[:, None]).round()
    distance = offset.abs()
    half = BUCKETS // 2
    steps = (distance.clamp(min=1) / EXACT).log() / math.log(FARTHEST / EXACT) * (half - EXACT)
    far = (EXACT + steps.long()).clamp(max=half - 1)
    return torch.where(distance < EXACT, distance.long(), far) + half * (offset > 0)


def first_and_previous(tokens: Tensor, num_frames: int) -> Tensor:
    """Tokens ((b f) n c) to those each frame attends to ((b f) 2n c): of the first frame and of the one before it."""
    frames = rearrange(tokens, "(b f) n c -> b f n c", f=num_frames)
    first = frames[:, :1]
    previous = torch.cat([first, frames[:, :-1]], dim=1)
    seen = torch.cat([first.expand_as(frames), previous], dim=2)
    return rearrange(seen, "b f n c -> (b f) n c")
