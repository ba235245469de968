"""Which image models a VAE belongs to: SD and SDXL have VAEs of one shape, but not of one latent space.

Shapes: k colours, c channels, h w size.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import comfy.latent_formats
import torch
from torch import Tensor

from ....temporal.errors import IncompatibleModelError

FORMATS = {"SD": comfy.latent_formats.SD15, "SDXL": comfy.latent_formats.SDXL}
CERTAIN = 2.0  # how many times better than the other space one must fit


@torch.inference_mode()
def latent_space(vae: Any) -> str | None:
    """ "SD" or "SDXL", found by encoding plain colours; None when neither of them fits clearly better.

    The host knows for each space how latents look as colours (it draws previews so); the right one gives the
    colours back.
    """
    if vae.latent_channels != 4 or vae.latent_dim != 2:
        return None
    colours = torch.tensor(list(product((0.25, 0.75), repeat=3)))
    pictures = colours[:, None, None].expand(-1, 64, 64, -1)
    latents = vae.encode(pictures).float().cpu().mean(dim=(2, 3))
    errors = {name: _error(latents, 2 * colours - 1, space()) for name, space in FORMATS.items()}
    best, other = sorted(errors, key=errors.__getitem__)
    return best if CERTAIN * errors[best] < errors[other] else None


def check_latent_space(vae: Any, base: str) -> None:
    """Refuse a decoder for the latents of `base` ("SD", "SD 1.x", "SDXL", ...) where the VAE makes others."""
    wanted = "SDXL" if base.startswith("SDXL") else "SD" if base.startswith("SD") else None
    made = latent_space(vae)
    if None not in (wanted, made) and made != wanted:
        names = {"SD": "SD 1.x and 2.x", "SDXL": "SDXL"}
        raise IncompatibleModelError(
            f"This temporal decoder reads latents of {names[wanted]}, but the VAE makes those of "
            f"{names[made]}. Connect the VAE of a {names[wanted]} checkpoint, or load a temporal decoder "
            f"made for {names[made]}."
        )


def _error(latents: Tensor, colours: Tensor, space: Any) -> float:
    """Mean square of what is wrong with the colours (k 3) that latents (k c) have in a space."""
    bias = torch.tensor(space.latent_rgb_factors_bias or [0.0, 0.0, 0.0])
    seen = space.process_in(latents) @ torch.tensor(space.latent_rgb_factors) + bias
    return (seen - colours).pow(2).mean().item()
