"""The temporal layer of a decoder.

Shapes: f frames of one clip, c channels, h w size.
"""

from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..layers.mixing import zero_init


@dataclass(frozen=True)
class LayerTail:
    """End of a clip that a layer keeps for the next piece; without values, no frame was seen yet."""

    waiting: Tensor | None = None  # frames whose result needs later ones
    seen_in: Tensor | None = None  # the last two frames that each convolution got
    seen_out: Tensor | None = None


class TemporalResBlock(nn.Module):
    """Residual block of two (3, 1, 1) convolutions along the frames; a new one is the identity.

    Norms look at one frame, (c h w), so a frame's result depends on its two neighbours on either side and on
    nothing else: a clip can go through in pieces, without seams. One group per norm, not 32: the brightness
    of one channel against another, which is what flickers, has to pass. At the ends of a clip a frame is its
    own neighbour; so is a single frame.
    """

    def __init__(self, channels: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.norm_in = ops.GroupNorm(1, channels, **kwargs)
        self.conv_in = ops.Conv2d(channels, channels, (3, 1), **kwargs)
        self.norm_out = ops.GroupNorm(1, channels, **kwargs)
        self.conv_out = zero_init(ops.Conv2d(channels, channels, (3, 1), **kwargs))

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden (f c h w), a whole clip, to the same shape."""
        return self.advance(hidden, LayerTail(), ends=True)[0]

    def advance(self, hidden: Tensor, tail: LayerTail, ends: bool) -> tuple[Tensor, LayerTail]:
        """Turn the next piece of a clip into the frames that are ready now, and the new tail.

        Hidden (f c h w) with f >= 0.

        Frames come out two later than they went in; where the clip `ends`, those that waited come too.
        """
        x, seen_in = _along_frames(self.conv_in, _activated(self.norm_in, hidden), tail.seen_in, ends)
        x, seen_out = _along_frames(self.conv_out, _activated(self.norm_out, x), tail.seen_out, ends)
        waiting = hidden[:0] if tail.waiting is None else tail.waiting
        first = min(len(waiting), len(x))  # results of frames that waited; the others went in just now
        ready = torch.cat([waiting[:first] + x[:first], hidden[: len(x) - first] + x[first:]])
        return ready, LayerTail(torch.cat([waiting[first:], hidden[len(x) - first :]]), seen_in, seen_out)


def _activated(norm: nn.Module, x: Tensor) -> Tensor:
    """In place where nothing is learned: the norm has just made it."""
    return functional.silu(norm(x), inplace=not torch.is_grad_enabled()) if len(x) else x


def _along_frames(
    conv: nn.Module, x: Tensor, seen: Tensor | None, ends: bool
) -> tuple[Tensor, Tensor | None]:
    """Convolve (f c h w) over frames, as an image whose rows are frames and whose columns are places."""
    parts = [x[:1] if seen is None else seen, x]
    if ends:
        parts.append((x if len(x) else parts[0])[-1:])
    rows = torch.cat([rearrange(part, "f c h w -> 1 c f (h w)") for part in parts], dim=2)
    seen = rearrange(rows[:, :, -2:], "1 c f (h w) -> f c h w", h=x.shape[2]).contiguous()
    if rows.shape[2] < 3:
        return x[:0], seen if len(seen) else None
    return rearrange(conv(rows), "1 c f (h w) -> f c h w", h=x.shape[2]), seen
