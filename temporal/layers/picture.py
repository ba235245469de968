"""A picture as a prompt.

Tokens made from what an image encoder says of it, and attention to them beside that to the text.

Shapes: b clips, f frames, n tokens of a frame, c channels, e channels of the text, m tokens of the picture, p
patches and g features of the image encoder.
"""

from dataclasses import dataclass
from typing import Any

import torch
from einops import repeat
from torch import Tensor, nn
from torch.nn import functional

from ..sampling.clip import Clip

HEAD = 64  # channels


@dataclass(frozen=True)
class PictureConfig:
    """Sizes of a `PictureProjector`."""

    features: int  # of the image encoder
    tokens: int
    width: int
    heads: int
    depth: int


class PictureProjector(nn.Module):
    """Turn an image encoder's features of every patch into a few tokens.

    The resampler of Flamingo, as in IP-Adapter.
    """

    def __init__(self, config: PictureConfig, context_dim: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.queries = ops.Embedding(config.tokens, config.width, **kwargs)
        self.proj_in = ops.Linear(config.features, config.width, **kwargs)
        self.blocks = nn.ModuleList(
            ProjectorBlock(config.width, config.heads, ops, **kwargs) for _ in range(config.depth)
        )
        self.proj_out = ops.Linear(config.width, context_dim, **kwargs)
        self.norm_out = ops.LayerNorm(context_dim, **kwargs)

    def forward(self, features: Tensor, clip: Clip) -> Tensor:
        """Features (b p g) of the picture of each clip to tokens (b m e)."""
        numbers = torch.arange(self.queries.num_embeddings, device=features.device)
        tokens = repeat(self.queries(numbers).to(features), "m w -> b m w", b=len(features))
        patches = self.proj_in(features)
        for block in self.blocks:
            tokens = block(tokens, patches, clip)
        return self.norm_out(self.proj_out(tokens))


class ProjectorBlock(nn.Module):
    """Attention of tokens to patches and to each other, then a feed-forward, each residual."""

    def __init__(self, width: int, heads: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.heads = heads
        self.norm_patches = ops.LayerNorm(width, **kwargs)
        self.norm_tokens = ops.LayerNorm(width, **kwargs)
        self.q = ops.Linear(width, heads * HEAD, bias=False, **kwargs)
        self.kv = ops.Linear(width, 2 * heads * HEAD, bias=False, **kwargs)
        self.out = ops.Linear(heads * HEAD, width, bias=False, **kwargs)
        self.norm_feed = ops.LayerNorm(width, **kwargs)
        self.feed_in = ops.Linear(width, 4 * width, bias=False, **kwargs)
        self.feed_out = ops.Linear(4 * width, width, bias=False, **kwargs)

    def forward(self, tokens: Tensor, patches: Tensor, clip: Clip) -> Tensor:
        """Tokens (b m w) and patches (b p w) to tokens of the same shape."""
        asking = self.norm_tokens(tokens)
        seen = torch.cat([self.norm_patches(patches), asking], dim=1)
        k, v = self.kv(seen).chunk(2, dim=-1)
        tokens = tokens + self.out(clip.attention(self.q(asking), k, v, self.heads))
        return tokens + self.feed_out(functional.gelu(self.feed_in(self.norm_feed(tokens))))


class PictureAttention(nn.Module):
    """Attention to the tokens of a picture, with the queries that the image model puts to the text."""

    mix_factor = None

    def __init__(self, channels: int, context_dim: int, heads: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.heads = heads
        self.kv = ops.Linear(context_dim, 2 * channels, bias=False, **kwargs)

    def forward(self, attended: Tensor, queries: Tensor, clip: Clip) -> Tensor:
        """Add the picture to the result of attention to the text.

        The result and its queries, both ((b f) n c), to the same shape.
        """
        k, v = self.kv(clip.picture_tokens).chunk(2, dim=-1)
        k, v = (repeat(x, "b m c -> (b f) m c", f=clip.num_frames) for x in (k, v))
        return attended + clip.attention(queries, k, v, self.heads)
