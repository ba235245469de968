"""Attention of a clip: over its frames, and to its text.

Shapes: b clips, f frames, n tokens of a frame, c channels, m text tokens, e channels of the text, d channels
per head.
"""

from dataclasses import replace
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ..sampling.clip import AttentionFunction, Clip
from ..sampling.places import over_frames
from .mixing import zero_init

MAX_SEQUENCES = 32768  # per call: GPU kernels put the batch on a grid axis that ends at 65535


class FrameAttention(nn.Module):
    """Self-attention over the frames at each place of the image, both ways (Video LDM, section 3.1)."""

    def __init__(
        self, channels: int, heads: int, positions: nn.Module | None, ops: Any, **kwargs: Any
    ) -> None:
        super().__init__()
        self.heads = heads
        # of (f,) and a dtype: (f c), added to what attention sees; None: without order
        self.positions = positions
        self.qkv = ops.Linear(channels, 3 * channels, bias=False, **kwargs)
        self.out = zero_init(ops.Linear(channels, channels, **kwargs))

    def forward(self, tokens: Tensor, clip: Clip) -> Tensor:
        """Tokens ((b f) n c) to the same shape."""
        frames = rearrange(tokens, "(b f) n c -> (b n) f c", f=clip.num_frames)
        return rearrange(self.over_frames(frames, clip), "(b n) f c -> (b f) n c", n=tokens.shape[1])

    def over_frames(self, frames: Tensor, clip: Clip) -> Tensor:
        """Attend with frames side by side: ((b n) f c) to the same shape."""
        key_scale = over_frames(clip.key_scale, frames)
        if clip.window is not None and clip.num_frames > clip.window:
            return self.out(self._in_windows(frames, clip, clip.window, key_scale))
        return self.out(self._attend(frames, clip, key_scale))

    def _in_windows(self, frames: Tensor, clip: Clip, length: int, key_scale: float | Tensor) -> Tensor:
        """A convolution in time: every frame in the run of `length` frames that has it nearest its centre."""
        windows, which, place = windows_around(clip.num_frames, length)
        inside = replace(clip, num_frames=length, positions=None, window=None)
        runs = rearrange(frames[:, windows.to(frames.device)], "s w f c -> (s w) f c")
        if isinstance(key_scale, Tensor):
            key_scale = rearrange(key_scale[:, windows.to(frames.device)], "s w f c -> (s w) f c")
        out = rearrange(self._attend(runs, inside, key_scale), "(s w) f c -> s w f c", w=len(windows))
        return out[:, which, place]

    def _attend(self, frames: Tensor, clip: Clip, key_scale: float | Tensor) -> Tensor:
        positions = clip.centred_positions(frames.device)
        if self.positions is not None:
            frames = frames + self.positions(positions, frames.dtype)
        q, k, v = self.qkv(frames).chunk(3, dim=-1)
        if isinstance(key_scale, Tensor) or key_scale != 1:
            k = k * key_scale
        return self.attend(clip.attention, q, k, v, positions)

    def attend(
        self, attention: AttentionFunction, q: Tensor, k: Tensor, v: Tensor, positions: Tensor
    ) -> Tensor:
        """Attention of q, k and v, each ((b n) f c); positions (f,) in frames, for those who need them."""
        return in_slices(attention, q, k, v, self.heads)


class TextAttention(nn.Module):
    """Cross-attention to the text.

    Frames that share a text are queries of one call, its keys and values are made once.
    """

    def __init__(self, channels: int, context_dim: int, heads: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.heads = heads
        self.q = ops.Linear(channels, channels, bias=False, **kwargs)
        self.kv = ops.Linear(context_dim, 2 * channels, bias=False, **kwargs)
        self.out = zero_init(ops.Linear(channels, channels, **kwargs))

    def forward(self, tokens: Tensor, text: Tensor, clip: Clip) -> Tensor:
        """Tokens ((b f) n c) to the same shape.

        Text (b m e) of each clip, (1 m e) of all, or ((b f) m e) of each frame.
        """
        sharing = 1 if len(text) == len(tokens) else clip.num_frames
        q = rearrange(self.q(tokens), "(b f) n c -> b (f n) c", f=sharing)
        k, v = self.kv(text).expand(q.shape[0], -1, -1).chunk(2, dim=-1)
        out = self.out(clip.attention(q, k, v, self.heads))
        return rearrange(out, "b (f n) c -> (b f) n c", f=sharing)


def windows_around(num_frames: int, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Runs of frames (w length), half of each new, that cover a clip.

    Also gives for each frame (f,) the run that has it nearest its centre, and its place there.
    """
    step = max(1, length // 2)
    starts = torch.tensor([*range(0, num_frames - length, step), num_frames - length])
    frames = torch.arange(num_frames)
    which = (frames[:, None] - starts - (length - 1) / 2).abs().argmin(dim=1)
    return starts[:, None] + torch.arange(length), which, frames - starts[which]


def in_slices(
    attention: AttentionFunction, q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None
) -> Tensor:
    """Attention with the batch of sequences cut to what GPU kernels accept."""
    if len(q) <= MAX_SEQUENCES:
        return attention(q, k, v, heads, mask=mask)
    parts = zip(q.split(MAX_SEQUENCES), k.split(MAX_SEQUENCES), v.split(MAX_SEQUENCES), strict=True)
    return torch.cat([attention(*part, heads, mask=mask) for part in parts])
