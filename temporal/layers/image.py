"""A given image for motion modules that animate it.

What PIA and AnimateLCM-I2V add to the image model's own path.

Shapes: b clips, f frames, c channels of the latent, h w its size, e channels of the UNet.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional

from ..sampling.clip import Clip
from .position import FrameTable

# on the input of the UNet, with how alike each frame is to the image; or features of every resolution
ImageKind = Literal["affinity", "encoder"]


class AffinityConv(nn.Module):
    """Input convolution of PIA, which sees latent, affinity and image (PIA, section 3.2).

    A convolution is linear in its input channels, so those of the latent stay with the image model's own
    convolution, and the others are added to what it gives. `latent` is what PIA was trained with: it is kept
    for files and takes no part.
    """

    def __init__(self, latent_channels: int, channels: Sequence[int], ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.latent = ops.Conv2d(latent_channels, channels[0], 3, padding=1, **kwargs)
        self.image = ops.Conv2d(1 + latent_channels, channels[0], 3, padding=1, bias=False, **kwargs)

    def forward(self, image: Tensor, clip: Clip) -> dict[int, Tensor]:
        """Latents and affinity ((b f) c+1 h w) to what is added to the first convolution, by level."""
        return {0: self.image(torch.cat([image[:, -1:], image[:, :-1]], dim=1))}


class ImageEncoder(nn.Module):
    """The image encoder of AnimateLCM-I2V.

    Two residual blocks for every resolution, told which frame they are for.
    """

    def __init__(self, latent_channels: int, channels: Sequence[int], ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.conv_in = ops.Conv2d(latent_channels, channels[0], 3, padding=1, **kwargs)
        inputs = (channels[0], *channels[:-1])
        self.body = nn.ModuleList(
            ImageEncoderBlock(c_out if second else c_in, c_out, ops, **kwargs)
            for c_in, c_out in zip(inputs, channels, strict=True)
            for second in (False, True)
        )

    def forward(self, image: Tensor, clip: Clip) -> dict[int, Tensor]:
        """Encode latents and affinity ((b f) c+1 h w) to features ((b f) e h w) by level.

        The affinity is not used.
        """
        positions = FrameTable(self.channels[0])(clip.centred_positions(image.device), image.dtype)
        x = self.conv_in(image[:, :-1])
        x = x + clip.frame_weight * repeat(positions, "f e -> (b f) e 1 1", b=len(x) // clip.num_frames)
        features = {}
        for level in range(len(self.channels)):
            x = _halved(x) if level else x
            for block in self.body[2 * level : 2 * level + 2]:
                x = block(x)
            features[level] = x
        return features


class ImageEncoderBlock(nn.Module):
    """Two convolutions, residual; the width changes before them."""

    def __init__(self, c_in: int, c_out: int, ops: Any, **kwargs: Any) -> None:
        super().__init__()
        self.in_conv = ops.Conv2d(c_in, c_out, 1, **kwargs) if c_in != c_out else None
        self.block1 = ops.Conv2d(c_out, c_out, 3, padding=1, **kwargs)
        self.block2 = ops.Conv2d(c_out, c_out, 1, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        """x (n c_in h w) to (n c_out h w)."""
        x = x if self.in_conv is None else self.in_conv(x)
        return x + self.block2(functional.relu(self.block1(x)))


IMAGE_PARTS: dict[ImageKind, type[nn.Module]] = {"affinity": AffinityConv, "encoder": ImageEncoder}


def _halved(x: Tensor) -> Tensor:
    """Mean over 2 x 2, with the last row and column repeated where their number is odd."""
    height, width = x.shape[-2:]
    x = functional.pad(x, (0, width % 2, 0, height % 2), mode="replicate")
    return rearrange(x, "n c (h y) (w x) -> n c h w y x", y=2, x=2).mean((-2, -1))
