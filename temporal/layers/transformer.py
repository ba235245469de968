"""The temporal transformer (paper, section 3.1), one after each of the image model's transformer blocks.

Shapes: b clips, f frames, n tokens of a frame, c channels, m text tokens, e channels of the text.
"""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..sampling.clip import Clip
from .attention import FrameAttention, TextAttention
from .mixing import new_mix_factor, zero_init
from .position import FramePositions

TOKENS_AT_A_TIME = 2048


class FeedForward(nn.Module):
    """GEGLU feed-forward, per token."""

    def __init__(self, channels: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.proj_in = ops.Linear(channels, 8 * channels, **kwargs)
        self.proj_out = zero_init(ops.Linear(4 * channels, channels, **kwargs))

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (... c) to the same shape.

        A CPU takes some of them at a time: eight times as wide as they are, they then stay in its cache (a quarter faster).
        """
        if tokens.is_cpu and not torch.is_grad_enabled():
            parts = tokens.reshape(-1, tokens.shape[-1]).split(TOKENS_AT_A_TIME)
            return torch.cat([self._gated(part) for part in parts]).reshape(tokens.shape)
        return self._gated(tokens)

    def _gated(self, tokens: Tensor) -> Tensor:
        value, gate = self.proj_in(tokens).chunk(2, dim=-1)
        return self.proj_out(value * functional.gelu(gate))


class TemporalTransformer(nn.Module):
    """Feed-forward, attention over frames, attention to text, feed-forward; each normalised per token and residual.

    Everything but the attention over frames works on tokens as the image model lays them out. With one frame it
    attends to that frame alone.
    """

    def __init__(self, channels: int, heads: int, context_dim: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.norm_in = ops.LayerNorm(channels, **kwargs)
        self.ff_in = FeedForward(channels, ops, **kwargs)
        self.norm_frames = ops.LayerNorm(channels, **kwargs)
        positions = FramePositions(channels, ops, **kwargs)
        self.frame_attention = FrameAttention(channels, heads, positions, ops, **kwargs)
        self.norm_text = ops.LayerNorm(channels, **kwargs)
        self.text_attention = TextAttention(channels, context_dim, heads, ops, **kwargs)
        self.norm_out = ops.LayerNorm(channels, **kwargs)
        self.ff_out = FeedForward(channels, ops, **kwargs)
        self.mix_factor = new_mix_factor(**kwargs)

    def forward(self, tokens: Tensor, context: Tensor, clip: Clip) -> Tensor:
        """The temporal path: tokens ((b f) n c) and the image's text ((b f) m e) to the shape of the tokens.

        A frame reads the text of its clip, `clip.text` or the first frame's; where `clip.texts_differ`, its own.
        """
        text = clip.text
        if text is None and clip.texts_differ:
            text = context
        elif text is None:
            text = rearrange(context, "(b f) m e -> b f m e", f=clip.num_frames)[:, 0]
        tokens = tokens + self.ff_in(self.norm_in(tokens))
        tokens = tokens + self.frame_attention(self.norm_frames(tokens), clip)
        tokens = tokens + self.text_attention(self.norm_text(tokens), text, clip)
        return tokens + self.ff_out(self.norm_out(tokens))
