"""Layers that let a decoder look at the first and the last frame of the clip (ToonCrafter).

One layer per level of the decoder, after its blocks, and one before the last convolution. The features of
these references are those of the encoder at the same level.

Shapes: f frames of the clip, c channels, h w size; features of the two references (2 c h w); n places, d a
head's channels.
"""

from collections.abc import Mapping
from typing import Any

from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional

HEAD_CHANNELS = 64
CONVOLUTION, ATTENTION = "conv.weight", "to_q.weight"


class ReferenceConv(nn.Module):
    """Adds the references, through a 1 x 1 convolution, to the two frames they show."""

    def __init__(self, channels: int, ops: Any) -> None:
        super().__init__()
        self.conv = ops.Conv2d(channels, channels, 1)

    def forward(self, hidden: Tensor, features: Tensor) -> Tensor:
        """Hidden (f c h w) to the same shape; only the first and the last frame change.

        A single frame gets both.
        """
        first, last = self.conv(features).unbind()
        hidden = hidden.clone()
        hidden[0] += first
        hidden[-1] += last
        return hidden


class ReferenceAttention(nn.Module):
    """Every frame attends over all places of both references."""

    def __init__(self, channels: int, inner: int, ops: Any) -> None:
        super().__init__()
        self.heads = inner // HEAD_CHANNELS
        self.norm = ops.GroupNorm(32, channels, eps=1e-6)
        self.to_q, self.to_k, self.to_v = (ops.Linear(channels, inner, bias=False) for _ in range(3))
        self.to_out = nn.Sequential(ops.Linear(inner, channels))

    def forward(self, hidden: Tensor, features: Tensor) -> Tensor:
        """Hidden (f c h w) to the same shape."""
        frames, _, height, _ = hidden.shape
        places = rearrange(features, "two c h w -> 1 (two h w) c")
        q = self.to_q(rearrange(self.norm(hidden), "f c h w -> f (h w) c"))
        k, v = (repeat(to(places), "1 n c -> f n c", f=frames) for to in (self.to_k, self.to_v))
        q, k, v = (rearrange(x, "f n (heads d) -> f heads n d", heads=self.heads) for x in (q, k, v))
        out = rearrange(functional.scaled_dot_product_attention(q, k, v), "f heads n d -> f n (heads d)")
        return hidden + rearrange(self.to_out(out), "f (h w) c -> f c h w", h=height)


def reference_layers(weights: Mapping[str, Tensor], ops: Any) -> nn.ModuleList:
    """Layers without their weights, of the shapes of a file's weights (`0.conv.weight` ...)."""
    layers = nn.ModuleList()
    for number in range(1 + max(int(key.partition(".")[0]) for key in weights)):
        attention = weights.get(f"{number}.{ATTENTION}")
        if attention is not None:
            layers.append(ReferenceAttention(attention.shape[1], attention.shape[0], ops))
        else:
            layers.append(ReferenceConv(weights[f"{number}.{CONVOLUTION}"].shape[0], ops))
    return layers
