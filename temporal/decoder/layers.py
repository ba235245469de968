"""The temporal layer of a decoder.

Shapes: f frames of one clip, c channels, h w size.
"""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..layers.mixing import zero_init


class TemporalResBlock(nn.Module):
    """Residual block of two (3, 1, 1) convolutions along the frames; a new one is the identity.

    Norms look at one frame, (c h w), so a frame's result depends on its two neighbours on either side and on nothing
    else: a clip can be decoded in chunks without seams by keeping those. One group per norm, not 32: the brightness
    of one channel against another, which is what flickers, has to pass. At the ends of a clip a frame is its own
    neighbour; so is a single frame.
    """

    def __init__(self, channels: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.norm_in = ops.GroupNorm(1, channels, **kwargs)
        self.conv_in = ops.Conv2d(channels, channels, (3, 1), **kwargs)
        self.norm_out = ops.GroupNorm(1, channels, **kwargs)
        self.conv_out = zero_init(ops.Conv2d(channels, channels, (3, 1), **kwargs))

    def forward(self, hidden: Tensor) -> Tensor:
        """Hidden (f c h w) to the same shape."""
        x = _along_frames(self.conv_in, functional.silu(self.norm_in(hidden)))
        x = _along_frames(self.conv_out, functional.silu(self.norm_out(x)))
        return hidden + x


def _along_frames(conv: nn.Module, x: Tensor) -> Tensor:
    """Convolve (f c h w) over frames, seen as an image whose rows are frames and whose columns are places."""
    rows = rearrange(torch.cat([x[:1], x, x[-1:]]), "f c h w -> 1 c f (h w)")
    return rearrange(conv(rows), "1 c f (h w) -> f c h w", h=x.shape[2])
