"""The motion module of the AnimateDiff family, one after each of the image model's blocks.

Shapes: b clips, f frames, c channels, h w size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from einops import rearrange
from torch import Tensor, nn

from ..sampling.clip import Clip
from .attention import FrameAttention
from .mixing import zero_init
from .position import FrameTable
from .transformer import FeedForward

HEADS, ATTENTIONS = 8, 2  # in every published file, except that SparseCtrl has one attention


@dataclass(frozen=True)
class MotionConfig:
    """Facts on motion modules that their weights do not tell.

    A norm takes statistics over each frame, or over the clip.
    """

    middle: bool  # one in the middle block too
    clip_norm: bool  # the module's own norm: over the clip
    clip_norm_image: bool  # the norms of the image model's ResBlocks and its last one: over the clip
    control: bool | None = None  # of a control model: one attention each, only on the way down

    @property
    def attentions(self) -> int:
        """Number of attentions over frames in a module, one after the other."""
        return 1 if self.control else ATTENTIONS


def counted_attention(channels: int, ops: Any, **kwargs: Any) -> FrameAttention:
    """Attention over frames that are counted by the fixed table, as AnimateDiff has it."""
    return FrameAttention(channels, HEADS, FrameTable(channels), ops, **kwargs)


class MotionModule(nn.Module):
    """Norm, projection, self-attentions over frames, feed-forward, projection.

    All residual (AnimateDiff, section 4.2).

    One layout inside: the frames of a place side by side. `width` is that of the tokens, the channels without
    it.
    """

    mix_factor = None

    def __init__(
        self,
        channels: int,
        clip_norm: bool,
        ops: Any,
        attention: Callable[..., nn.Module] = counted_attention,
        width: int | None = None,
        attentions: int = ATTENTIONS,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        width = width or channels
        self.clip_norm = clip_norm
        self.norm = ops.GroupNorm(32, channels, eps=1e-6, **kwargs)
        self.proj_in = ops.Linear(channels, width, **kwargs)
        self.norms = nn.ModuleList(ops.LayerNorm(width, **kwargs) for _ in range(attentions))
        self.attentions = nn.ModuleList(attention(width, ops, **kwargs) for _ in range(attentions))
        self.norm_out = ops.LayerNorm(width, **kwargs)
        self.ff = FeedForward(width, ops, **kwargs)
        self.proj_out = zero_init(ops.Linear(width, channels, **kwargs))

    def forward(self, hidden: Tensor, clip: Clip) -> Tensor:
        """The temporal path: hidden ((b f) c h w) to the same shape."""
        x = over_clip(self.norm, hidden, clip.num_frames) if self.clip_norm else self.norm(hidden)
        x = self.proj_in(rearrange(x, "(b f) c h w -> (b h w) f c", f=clip.num_frames))
        for norm, attention in zip(self.norms, self.attentions, strict=True):
            x = x + cast(FrameAttention, attention).over_frames(norm(x), clip)
        x = self.proj_out(x + self.ff(self.norm_out(x)))
        h, w = hidden.shape[2:]
        return hidden + rearrange(x, "(b h w) f c -> (b f) c h w", h=h, w=w)


def over_clip(norm: Any, hidden: Tensor, num_frames: int) -> Tensor:
    """A group norm of hidden ((b f) c h w) with statistics over (f h w): a clip is one sample."""
    normed = norm(rearrange(hidden, "(b f) c h w -> b c f (h w)", f=num_frames))
    return rearrange(normed, "b c f (h w) -> (b f) c h w", h=hidden.shape[2])
