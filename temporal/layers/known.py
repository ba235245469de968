"""Known frames for temporal layers: (mask * latent, mask), downsampled by learned convolutions.

This is c_S of Video LDM, section 3.2.

Shapes: b clips, f frames, c channels of the latent, h w its size.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from .mixing import zero_init


class KnownInput(nn.Module):
    """Further input channels of an image model, as what they add to its first convolution.

    The channels are (mask * latent, mask).

    The same numbers as a first convolution that sees them beside the noisy latent (Video LDM, section 4). New
    ones add nothing, and neither do frames that are not known.
    """

    def __init__(self, latent_channels: int, channels: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.conv = zero_init(ops.Conv2d(latent_channels + 1, channels, 3, padding=1, bias=False, **kwargs))

    def forward(self, latents: Tensor, mask: Tensor) -> Tensor:
        """Latents ((b f) c h w) and mask ((b f),), 1 = given, to what is added, ((b f) channels h w)."""
        return self.conv(with_mask(latents, mask))


def with_mask(latents: Tensor, mask: Tensor) -> Tensor:
    """(mask * latent, mask) of latents ((b f) c h w) and mask ((b f),): ((b f) c+1 h w)."""
    mask = mask.to(latents)[:, None, None, None]
    return torch.cat([latents * mask, mask.expand_as(latents[:, :1])], dim=1)


class KnownFrameEncoder(nn.Module):
    """One convolution per UNet resolution, each after the first with stride 2.

    Unknown frames have no features.
    """

    def __init__(self, latent_channels: int, channels: Sequence[int], ops: Any, **kwargs: Any) -> None:
        super().__init__()
        inputs = (latent_channels + 1, *channels[:-1])
        self.levels = nn.ModuleList(
            ops.Conv2d(c_in, c_out, 3, stride=1 if level == 0 else 2, padding=1, **kwargs)
            for level, (c_in, c_out) in enumerate(zip(inputs, channels, strict=True))
        )

    def forward(self, latents: Tensor, mask: Tensor) -> dict[int, Tensor]:
        """Latents ((b f) c h w) and mask ((b f),), 1 = given, to features by resolution level."""
        x, given = with_mask(latents, mask), mask.to(latents)[:, None, None, None]
        features = {}
        for level, conv in enumerate(self.levels):
            x = functional.silu(conv(x))
            features[level] = x * given
        return features
