"""Temporal layers of the LVDM line: ModelScope, ZeroScope, VideoCrafter.

Shapes: b clips, f frames, n tokens of a frame, c channels, h w size, d channels per head, e channels of the
UNet's time embedding.
"""

from dataclasses import dataclass
from typing import Any

import torch
from einops import einsum, rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..sampling.clip import AttentionFunction, Clip
from .attention import FrameAttention
from .mixing import zero_init
from .motion import MotionModule
from .picture import PictureConfig
from .position import sinusoid

CONVS = 4  # in every published file
MAX_PERIOD = 10000  # of the sinusoids of a frame rate


@dataclass(frozen=True)
class LvdmConfig:
    """Choice of the layers that a file of the LVDM line has."""

    convs: bool  # four convolutions along the frames after every ResBlock
    frame_rate: bool  # a frame rate in the time embedding
    # of relative positions, in frames; None: the layers do not know the order of frames
    reach: int | None = None
    picture: PictureConfig | None = None  # a picture as a prompt beside the text


class TemporalConvs(nn.Module):
    """Four norms over the clip, each with SiLU and a convolution along the frames; one residual around all.

    A (3, 1, 1) convolution of a video is a (3, 1) convolution of an image whose rows are frames (as in
    `TemporalConv`).
    """

    mix_factor = None

    def __init__(self, channels: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.norms = nn.ModuleList(ops.GroupNorm(32, channels, **kwargs) for _ in range(CONVS))
        self.convs = nn.ModuleList(
            ops.Conv2d(channels, channels, (3, 1), padding=(1, 0), **kwargs) for _ in range(CONVS)
        )
        zero_init(self.convs[-1])

    def forward(self, hidden: Tensor, clip: Clip) -> Tensor:
        """The temporal path: hidden ((b f) c h w) to the same shape."""
        x = rearrange(hidden, "(b f) c h w -> b c f (h w)", f=clip.num_frames)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = conv(functional.silu(norm(x)))
        return hidden + rearrange(x, "b c f (h w) -> (b f) c h w", h=hidden.shape[2])


class RelativeAttention(FrameAttention):
    """Attention over frames with learned vectors for the distance of two frames (Shaw et al., 2018).

    One is added to each key and one to each value; beyond `reach` frames distances count as `reach`.
    """

    def __init__(self, channels: int, heads: int, reach: int, ops: Any, **kwargs: Any) -> None:
        super().__init__(channels, heads, None, ops, **kwargs)
        self.reach = reach
        self.table_k = ops.Embedding(2 * reach + 1, channels // heads, **kwargs)
        self.table_v = ops.Embedding(2 * reach + 1, channels // heads, **kwargs)

    def attend(
        self, attention: AttentionFunction, q: Tensor, k: Tensor, v: Tensor, positions: Tensor
    ) -> Tensor:
        """Attend as `FrameAttention` does, with the vectors of distances.

        No kernel of the host knows them.
        """
        distance = (positions[None, :] - positions[:, None]).round().long()
        index = distance.clamp(-self.reach, self.reach) + self.reach
        q, k, v = (rearrange(x, "s f (heads d) -> s heads f d", heads=self.heads) for x in (q, k, v))
        q = q * q.shape[-1] ** -0.5
        logits = q @ k.transpose(-1, -2)
        logits = logits + einsum(q, self.table_k(index).to(q), "s heads i d, i j d -> s heads i j")
        weights = torch.softmax(logits, dim=-1)
        out = weights @ v + einsum(weights, self.table_v(index).to(v), "s heads i j, i j d -> s heads i d")
        return rearrange(out, "s heads f d -> s f (heads d)")


def frame_transformer(
    channels: int, heads: int, width: int, reach: int | None, ops: Any, **kwargs: Any
) -> MotionModule:
    """The transformer over frames.

    The network of a motion module, its norm over the clip, without counted frames.
    """

    def attention(width: int, ops: Any, **kwargs: Any) -> FrameAttention:
        if reach is None:
            return FrameAttention(width, heads, None, ops, **kwargs)
        return RelativeAttention(width, heads, reach, ops, **kwargs)

    return MotionModule(channels, True, ops, attention, width, **kwargs)


class FrameRateInTime(nn.Module):
    """The frame rate as a part of the time embedding of the whole UNet."""

    mix_factor = None

    def __init__(self, model_channels: int, channels: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.model_channels = model_channels
        self.linear_in = ops.Linear(model_channels, channels, **kwargs)
        self.linear_out = ops.Linear(channels, channels, **kwargs)

    def forward(self, emb: Tensor, clip: Clip) -> Tensor:
        """Time embedding ((b f) e) to the same shape."""
        fps = torch.as_tensor(clip.fps, device=emb.device).reshape(-1)
        table = sinusoid(fps, self.model_channels, MAX_PERIOD).to(emb.dtype)
        rate = self.linear_out(functional.silu(self.linear_in(table)))
        return emb + rate.repeat_interleave(len(emb) // len(rate), dim=0)
