"""A few lines of DDIM, enough to look at a clip while training.

Shapes: latents ((b f) c h w); text, empty (b m e); conditions of 2b clips, both ways.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor

from ..sampling.clip import Clip
from ..stack.stack import TemporalStack
from .data.conditions import NOTHING, Conditions
from .loop import Denoise
from .noise_levels import NoiseLevels


@dataclass(frozen=True, eq=False)
class SampledModel:
    """An image model as a function, the layers that it is called with, and its noise levels."""

    denoise: Denoise
    stack: TemporalStack
    noise_levels: NoiseLevels


@torch.no_grad()
def ddim(
    model: SampledModel,
    noise: Tensor,
    text: Tensor,
    empty: Tensor,
    clip: Clip,
    steps: int = 20,
    guidance: float = 4.0,
    conditions: Conditions = NOTHING,
) -> Tensor:
    """Clean latents from noise with DDIM (eta 0) and text guidance; known frames come with `clip`."""
    denoise, stack, noise_levels = model.denoise, model.stack, model.noise_levels
    both = torch.cat([text, empty])
    clip = stack.prepare(
        replace(
            clip,
            text=both,
            known_latents=None if clip.known_latents is None else torch.cat([clip.known_latents] * 2),
            known_mask=None if clip.known_mask is None else torch.cat([clip.known_mask] * 2),
        )
    )
    x = noise
    times = [round((noise_levels.num_steps - 1) * (1 - step / steps)) for step in range(steps + 1)]
    for now, after in pairwise(times):
        t = torch.full((2 * len(x),), now, device=x.device)
        with_text, without = denoise(torch.cat([x, x]), t, both, stack, clip, conditions).float().chunk(2)
        prediction = without + guidance * (with_text - without)
        clean, direction = noise_levels.split(x, prediction, t[: len(x)])
        x = (
            noise_levels.add_noise(clean, direction, torch.full_like(t[: len(x)], after))
            if after > 0
            else clean
        )
    return x
