"""Convolutions over a clip as a volume.

Before the image model's transformers and after its resolution levels.

Norms take their statistics over a group of channels and (f h w). Shapes: b clips, f frames, c channels, h w
size, e channels of the UNet's time embedding.
"""

from typing import Any

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..sampling.clip import Clip
from .mixing import zero_init
from .motion import over_clip


class FramesBlock(nn.Module):
    """Residual block of two convolutions along the frames, of `taps` frames each.

    The time embedding enters between.

    Rows of an image stand for frames and columns for places, as in `TemporalConv`.
    """

    mix_factor = None

    def __init__(
        self, channels: int, embedding_channels: int | None, taps: tuple[int, int], ops: Any, **kwargs: Any
    ) -> None:
        super().__init__()
        convs = [ops.Conv2d(channels, channels, (tap, 1), padding=(tap // 2, 0), **kwargs) for tap in taps]
        self.norm_in = ops.GroupNorm(32, channels, eps=1e-6, **kwargs)
        self.conv_in = convs[0]
        self.time_embedding = None
        if embedding_channels is not None:
            self.time_embedding = ops.Linear(embedding_channels, channels, **kwargs)
        self.norm_out = ops.GroupNorm(32, channels, eps=1e-6, **kwargs)
        self.conv_out = zero_init(convs[1])

    def forward(self, hidden: Tensor, clip: Clip, emb: Tensor | None = None) -> Tensor:
        """The temporal path: hidden ((b f) c h w), time embedding ((b f) e), to the shape of hidden."""
        x = rearrange(hidden, "(b f) c h w -> b c f (h w)", f=clip.num_frames)
        x = self.conv_in(functional.silu(self.norm_in(x)))
        if emb is not None and self.time_embedding is not None:
            shift = self.time_embedding(functional.silu(emb))
            x = x + rearrange(shift, "(b f) c -> b c f 1", f=clip.num_frames)
        x = self.conv_out(functional.silu(self.norm_out(x)))
        return hidden + rearrange(x, "b c f (h w) -> (b f) c h w", h=hidden.shape[2])


class EachFrameBlock(nn.Module):
    """Residual block of two 3x3 convolutions of each frame; the norms alone see the clip."""

    def __init__(self, channels: int, embedding_channels: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.norm_in = ops.GroupNorm(32, channels, eps=1e-6, **kwargs)
        self.conv_in = ops.Conv2d(channels, channels, 3, padding=1, **kwargs)
        self.time_embedding = ops.Linear(embedding_channels, channels, **kwargs)
        self.norm_out = ops.GroupNorm(32, channels, eps=1e-6, **kwargs)
        self.conv_out = ops.Conv2d(channels, channels, 3, padding=1, **kwargs)

    def forward(self, hidden: Tensor, clip: Clip, emb: Tensor) -> Tensor:
        """Hidden ((b f) c h w) and time embedding ((b f) e) to the shape of hidden."""
        x = self.conv_in(functional.silu(over_clip(self.norm_in, hidden, clip.num_frames)))
        x = x + self.time_embedding(functional.silu(emb))[:, :, None, None]
        return hidden + self.conv_out(functional.silu(over_clip(self.norm_out, x, clip.num_frames)))


class LevelModule(nn.Module):
    """After a resolution level.

    Convolutions along the frames, then in each frame, added through a 1x1 convolution.
    """

    mix_factor = None

    def __init__(self, channels: int, embedding_channels: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.frames = FramesBlock(channels, embedding_channels, (5, 3), ops, **kwargs)
        self.image = EachFrameBlock(channels, embedding_channels, ops, **kwargs)
        self.shift = zero_init(ops.Conv2d(channels, channels, 1, **kwargs))

    def forward(self, hidden: Tensor, emb: Tensor, clip: Clip) -> Tensor:
        """The temporal path: hidden ((b f) c h w), time embedding ((b f) e), to the shape of hidden."""
        return hidden + self.shift(self.image(self.frames(hidden, clip, emb), clip, emb))
