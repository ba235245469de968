"""Known frames as further input channels of an image model that was trained along with its temporal layers.

Shapes: b clips, f frames, c channels of the latent, h w its size.
"""

from typing import Literal

import torch
from torch import Tensor

Condition = Literal["masked", "nearest"]
# A mid-grey picture in the latents of the SD 1.x VAE, times 0.18215: what inpainting models see where nothing
# is given.
GREY = (0.8223, -0.6876, 0.6364, 0.1380)


def known_channels(condition: Condition, known: Tensor) -> Tensor:
    """Channels beside the noisy latent, `mask * latent` and mask, 1 = given: ((b f) c+1 h w).

    `masked`: the mask, 1 = to make, and the given latents, with grey for the others ((b f) 1+c h w).
    `nearest`: the latents ((b f) c h w), of known frames that were spread with `KnownFrames.spread`.
    """
    latents, mask = known[:, :-1], known[:, -1:]
    if condition == "nearest":
        return latents
    grey = torch.tensor(GREY).to(known)[None, :, None, None]
    return torch.cat([1 - mask, latents + (1 - mask) * grey], dim=1)


def nothing_known(condition: Condition, like: Tensor) -> Tensor:
    """Known-frame channels for latents ((b f) c h w) of which no frame is given."""
    return known_channels(condition, like.new_zeros(len(like), like.shape[1] + 1, *like.shape[2:]))


def channels_of(condition: Condition, known: Tensor | None, like: Tensor) -> Tensor:
    """Channels of the known frames of a call, as `like` is stored; of none where `known` is None."""
    return nothing_known(condition, like) if known is None else known_channels(condition, known.to(like))
