"""All temporal layers of one decoder file, and what they were made for.

Shapes: f frames of one clip, c channels, h w size.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..weights import description
from .layers import TemporalResBlock
from .plan import DecoderShape, DecoderSite, plan_decoder


@dataclass(frozen=True)
class DecoderConfig:
    """Description of the temporal layers of a decoder."""

    decoder: DecoderShape
    base: str  # the image models whose latents it reads: "SD", "SDXL" or another name
    family: str = "video_ldm"

    def to_json(self) -> str:
        """Write as one line of JSON, the description in a file."""
        return description.to_json(self)

    @classmethod
    def from_json(cls, text: str) -> "DecoderConfig":
        """The reverse of `to_json`.

        `CheckpointFormatError` where a field is unknown, missing, or cannot be right.
        """
        config = description.from_json(cls, text)
        config.decoder.check()
        return config


class TemporalDecoder(nn.Module):
    """A temporal layer after every residual block of a decoder. A new one changes nothing.

    `ops` has Conv2d and GroupNorm; a host passes its own to cast and offload weights.
    """

    def __init__(
        self,
        config: DecoderConfig,
        ops: Any = nn,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.sites = plan_decoder(config.decoder)
        kwargs = {"dtype": dtype, "device": device}
        layers = {site.name: TemporalResBlock(site.channels, ops, **kwargs) for site in self.sites}
        self.layers = nn.ModuleDict(layers)

    def forward(self, site: DecoderSite, hidden: Tensor) -> Tensor:
        """Hidden (f c h w), all frames of one clip, after the residual block at a site, to the same shape."""
        return self.layer(site)(hidden)

    def layer(self, site: DecoderSite) -> TemporalResBlock:
        """The layer at a site."""
        return cast(TemporalResBlock, self.layers[site.name])
