"""The temporal convolution block (Video LDM, section 3.1), one after each of the image model's ResBlocks.

Shapes: b clips, f frames, c channels, h w size, e channels of the UNet's time embedding, k channels of known
frames.
"""

from typing import Any

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ..sampling.clip import Clip
from .mixing import new_mix_factor, zero_init


class TemporalConv(nn.Module):
    """Residual block of two convolutions along the frames.

    Time, frame rate and known frames enter between them.

    A (3, 1, 1) convolution of a video is a (3, 1) convolution of an image whose rows are frames and whose
    columns are the places of a frame. Seen so, the host's layout needs no copy in channels-last, and CPUs
    have a fast kernel for it. Norms take their statistics over a group of channels and (f h w): a clip is one
    sample.
    """

    def __init__(
        self, channels: int, embedding_channels: int, known_channels: int | None, ops: Any, **kwargs: Any
    ) -> None:
        super().__init__()
        self.norm_in = ops.GroupNorm(32, channels, **kwargs)
        self.conv_in = ops.Conv2d(channels, channels, (3, 1), padding=(1, 0), **kwargs)
        self.time_embedding = ops.Linear(embedding_channels, channels, **kwargs)
        self.known_frames = None
        if known_channels is not None:
            self.known_frames = zero_init(ops.Conv2d(known_channels, channels, 1, bias=False, **kwargs))
        self.norm_out = ops.GroupNorm(32, channels, **kwargs)
        self.conv_out = zero_init(ops.Conv2d(channels, channels, (3, 1), padding=(1, 0), **kwargs))
        self.mix_factor = new_mix_factor(**kwargs)

    def forward(self, hidden: Tensor, emb: Tensor, clip: Clip, known: Tensor | None = None) -> Tensor:
        """Compute the temporal path.

        Hidden ((b f) c h w), time embedding ((b f) e), features of known frames ((b f) k h w).
        """
        x = rearrange(hidden, "(b f) c h w -> b c f (h w)", f=clip.num_frames)
        x = self.conv_in(functional.silu(self.norm_in(x)))
        x = x + self._embedding(emb, clip)
        if known is not None and self.known_frames is not None:
            x = x + rearrange(self.known_frames(known), "(b f) c h w -> b c f (h w)", f=clip.num_frames)
        x = self.conv_out(functional.silu(self.norm_out(x)))
        return hidden + rearrange(x, "b c f (h w) -> (b f) c h w", h=hidden.shape[2])

    def _embedding(self, emb: Tensor, clip: Clip) -> Tensor:
        emb = rearrange(emb, "(b f) e -> b f e", f=clip.num_frames)
        if clip.embedding is not None:
            emb = emb + clip.embedding[:, None].to(emb)
        return rearrange(self.time_embedding(functional.silu(emb)), "b f c -> b c f 1")
