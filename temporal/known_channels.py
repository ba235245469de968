"""Known frames as further input channels of an image model that was trained along with its temporal layers.

Shapes: b clips, f frames, c channels of the latent, h w its size.
"""

from typing import Literal

import torch
from einops import rearrange, repeat
from torch import Tensor

Condition = Literal["masked", "nearest"]
# A mid-grey picture in the latents of the SD 1.x VAE, times 0.18215: what inpainting models see where nothing is given.
GREY = (0.8223, -0.6876, 0.6364, 0.1380)


def known_channels(condition: Condition, known: Tensor, num_frames: int) -> Tensor:
    """Channels beside the noisy latent, from known frames as `mask * latent` and mask, 1 = given: ((b f) c+1 h w).

    `masked`: the mask, 1 = to make, and the given latents, with grey for the others ((b f) 1+c h w).
    `nearest`: for every frame the given one that is nearest, of two the earlier ((b f) c h w); nothing where none is given.
    """
    latents, mask = known[:, :-1], known[:, -1:]
    if condition == "masked":
        grey = torch.tensor(GREY).to(known)[None, :, None, None]
        return torch.cat([1 - mask, latents + (1 - mask) * grey], dim=1)
    clips = rearrange(latents, "(b f) c h w -> b f c h w", f=num_frames)
    given = rearrange(mask[:, 0, 0, 0] > 0.5, "(b f) -> b f", f=num_frames)
    nearest = nearest_given(given)
    index = repeat(nearest, "b f -> b f c h w", **dict(zip("chw", clips.shape[2:], strict=True)))
    return rearrange(clips.gather(1, index), "b f c h w -> (b f) c h w")


def nothing_known(condition: Condition, like: Tensor) -> Tensor:
    """The same channels for latents ((b f) c h w) of which no frame is given."""
    empty = like.new_zeros(len(like), like.shape[1] + 1, *like.shape[2:])
    return known_channels(condition, empty, len(like))


def nearest_given(given: Tensor) -> Tensor:
    """For every frame of (b f) the number of the given one that is nearest, of two the earlier; its own where none is."""
    frames = torch.arange(given.shape[-1], device=given.device)
    offset = frames[None, :] - frames[:, None]  # from each frame to each given one
    cost = 2 * offset.abs() + (offset > 0)
    none = 4 * given.shape[-1]
    cost = torch.where(
        given[:, None, :], cost, none + cost
    )  # of those not given the nearest is the frame itself
    return cost.argmin(dim=-1)
