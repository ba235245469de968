"""The pixel-space video upscaler (Video LDM, section 3.4): a UNet that denoises what bicubic frames lack.

Shapes: b clips, f frames, c channels, h w size of the given frames, H W size of the enlarged ones, e an
embedding.
"""

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..layers.mixing import zero_init
from ..sampling.clip import Clip
from .config import UpscalerConfig
from .layers import LevelEmbedding, SpatialBlock, TemporalBlock

KEEN = 8.0  # times the usual weights


class Block(nn.Module):
    """One step of the UNet: a frame by itself, then the frames together."""

    def __init__(
        self, inputs: int, channels: int, heads: int, embedding: int, ops: Any, **kwargs: Any
    ) -> None:
        super().__init__()
        self.spatial = SpatialBlock(inputs, channels, embedding, ops, **kwargs)
        self.temporal = TemporalBlock(channels, heads, ops, **kwargs)

    def forward(self, hidden: Tensor, emb: Tensor, clip: Clip) -> Tensor:
        """Hidden ((b f) c h w), embedding ((b f) e)."""
        return self.temporal(self.spatial(hidden, emb), clip)


class VideoUpscaler(nn.Module):
    """Predicts v of the residual between enlarged frames and bicubic ones.

    New temporal layers change nothing.

    `ops` has Linear and Conv2d; a host passes its own to cast and offload weights. Nothing but the attention
    over frames and the convolutions looks beyond a place, so a crop gives the same as the whole frame,
    `config.reach` away from its edge.
    """

    def __init__(
        self,
        config: UpscalerConfig,
        ops: Any = nn,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        kwargs = {"dtype": dtype, "device": device}
        widths, last = config.widths, len(config.widths) - 1
        pixels = 3 * config.patch**2

        def blocks(first: int, level: int) -> nn.ModuleList:
            inputs = [first, *[widths[level]] * (config.num_res_blocks - 1)]
            heads = config.heads if level == last else 0
            return nn.ModuleList(
                Block(c, widths[level], heads, config.embedding, ops, **kwargs) for c in inputs
            )

        self.levels = LevelEmbedding(config.channels, config.embedding, ops, **kwargs)
        self.conv_in = edges_first(ops.Conv2d(pixels + 3, widths[0], 3, padding=1, **kwargs))
        self.down = nn.ModuleList(
            ops.Conv2d(widths[level], widths[level + 1], 3, stride=2, padding=1, **kwargs)
            for level in range(last)
        )
        self.up = nn.ModuleList(
            ops.Conv2d(widths[level + 1], widths[level], 3, padding=1, **kwargs) for level in range(last)
        )
        self.input_blocks = nn.ModuleList(blocks(width, level) for level, width in enumerate(widths))
        self.output_blocks = nn.ModuleList(
            blocks(width if level == last else 2 * width, level) for level, width in enumerate(widths)
        )
        self.conv_out = zero_init(ops.Conv2d(widths[0], pixels, 3, padding=1, **kwargs))

    def forward(self, noisy: Tensor, given: Tensor, time: Tensor, level: Tensor, clip: Clip) -> Tensor:
        """v of the residual ((b f) 3 H W).

        noisy ((b f) 3 H W): residual in units of `config.residual_std`, with noise of `time`. given ((b f) 3
        h w) in -1..1, with noise of `level`. time, level ((b f),) in 0..1. h and w are multiples of
        `config.multiple`.
        """
        config = self.config
        emb = self.levels(time, level, noisy.dtype)
        places = enlarge(given, config.scale // config.patch)
        x = torch.cat([functional.pixel_unshuffle(noisy, config.patch), places.to(noisy)], dim=1)
        x = self.conv_in(x)
        skips = []
        for number, blocks in enumerate(self.input_blocks):
            for block in cast(nn.ModuleList, blocks):
                x = block(x, emb, clip)
            if number < len(self.down):
                skips.append(x)
                x = self.down[number](x)
        for number, blocks in reversed(list(enumerate(self.output_blocks))):
            if number < len(self.up):
                x = self.up[number](functional.interpolate(x, scale_factor=2.0, mode="nearest"))
                x = torch.cat([x, skips.pop()], dim=1)
            for block in cast(nn.ModuleList, blocks):
                x = block(x, emb, clip)
        return functional.pixel_shuffle(self.conv_out(x), config.patch)

    def spatial_parameters(self) -> Iterator[nn.Parameter]:
        """Weights of the upscaler of single pictures."""
        return (p for name, p in self.named_parameters() if ".temporal." not in name)

    def temporal_parameters(self) -> Iterator[nn.Parameter]:
        """Weights that make frames belong together."""
        return (p for name, p in self.named_parameters() if ".temporal." in name)


@torch.no_grad()
def edges_first(conv: nn.Conv2d) -> nn.Conv2d:
    """Make a first convolution blind to noise, and keen on edges of the given frame, its last 3 channels.

    What the given frame tells is small beside 3 * patch^2 channels of noise, and overlooked for long where
    both begin alike.
    """
    noise, given = conv.weight[:, :-3], conv.weight[:, -3:]
    noise.zero_()
    given.sub_(given.mean(dim=(2, 3), keepdim=True)).mul_(KEEN)
    return conv


def enlarge(frames: Tensor, scale: int) -> Tensor:
    """Bicubic enlargement of (n c h w) by a whole number."""
    if scale == 1:
        return frames
    return functional.interpolate(frames, scale_factor=float(scale), mode="bicubic", align_corners=False)
