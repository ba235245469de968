"""The temporal transformer (Video LDM, section 3.1), one after each of the image model's transformer blocks.

Shapes: b clips, f frames, n tokens of a frame, c channels, m text tokens, e channels of the text, l frames of
a run.
"""

from dataclasses import replace
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..sampling.clip import Clip
from .attention import FrameAttention, TextAttention, windows_around
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

        A CPU takes some of them at a time: eight times as wide as they are, they then stay in its cache (a
        quarter faster).
        """
        if tokens.is_cpu and not torch.is_grad_enabled():
            parts = tokens.reshape(-1, tokens.shape[-1]).split(TOKENS_AT_A_TIME)
            return torch.cat([self._gated(part) for part in parts]).reshape(tokens.shape)
        return self._gated(tokens)

    def _gated(self, tokens: Tensor) -> Tensor:
        value, gate = self.proj_in(tokens).chunk(2, dim=-1)
        return self.proj_out(value * functional.gelu(gate))


class TemporalTransformer(nn.Module):
    """Feed-forward, attention over frames, attention to text, feed-forward.

    Each normalises its tokens and is added to them.

    With `positions_on_tokens` all four see which frame a token is of, as in Stable Video Diffusion:
    what a word such as "left" means depends on the frame. Positions are added behind the norms, so a new
    layer is the identity. Without, the attention over frames alone sees them. With one frame a layer attends
    to that frame alone.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        context_dim: int,
        ops: Any,
        positions_on_tokens: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        self.positions_on_tokens = positions_on_tokens
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

        A frame reads the text of its clip, `clip.text` or the first frame's; where `clip.texts_differ`, its
        own.
        """
        text = clip.text
        if text is None and clip.texts_differ:
            text = context
        elif text is None:
            text = rearrange(context, "(b f) m e -> b f m e", f=clip.num_frames)[:, 0]
        if self.positions_on_tokens and clip.window is not None and clip.num_frames > clip.window:
            return self._in_windows(tokens, text, clip, clip.window)
        return self._path(tokens, text, clip)

    def _path(self, tokens: Tensor, text: Tensor, clip: Clip) -> Tensor:
        positions, table = None, self.frame_attention.positions
        if self.positions_on_tokens and table is not None:
            positions = table(clip.centred_positions(tokens.device), tokens.dtype)

        def seen(normed: Tensor) -> Tensor:
            """The normed tokens with the positions of their frames, where these are for all parts."""
            if positions is not None:
                # in place: the norm has just made them, and a copy would cost more than the sum
                rearrange(normed, "(b f) n c -> b f n c", f=clip.num_frames).add_(positions[:, None])
            return normed

        tokens = tokens + self.ff_in(seen(self.norm_in(tokens)))
        # the attention adds positions itself, where frames lie side by side
        frames = self.norm_frames(tokens)
        tokens = tokens + self.frame_attention(frames, clip)
        tokens = tokens + self.text_attention(seen(self.norm_text(tokens)), text, clip)
        return tokens + self.ff_out(seen(self.norm_out(tokens)))

    def _in_windows(self, tokens: Tensor, text: Tensor, clip: Clip, length: int) -> Tensor:
        """A convolution in time: every frame as in the run of `length` frames that has it nearest its centre.

        One run after the other, so that a long clip takes no more memory than a short one.
        """
        windows, which, place = windows_around(clip.num_frames, length)
        inside = replace(clip, num_frames=length, positions=None, window=None)

        def run(x: Tensor, window: Tensor) -> Tensor:
            apart = rearrange(x, "(b f) n c -> b f n c", f=clip.num_frames)
            return rearrange(apart[:, window[0] : window[-1] + 1], "b l n c -> (b l) n c")

        parts = []
        for number, window in enumerate(windows):
            read = run(text, window) if len(text) == len(tokens) else text
            out = rearrange(self._path(run(tokens, window), read, inside), "(b l) n c -> b l n c", l=length)
            parts.append(out[:, place[which == number]])  # runs and the frames they are for come in one order
        return rearrange(torch.cat(parts, dim=1), "b f n c -> (b f) n c")
