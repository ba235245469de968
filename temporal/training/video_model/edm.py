"""Noise levels without steps: EDM (arXiv 2206.00364) with the scaling of Stable Video Diffusion (appendix D).

Shapes: x, noise, noisy, output ((b f) c h w); sigma ((b f),), above 0, the same for all frames of a clip.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from einops import rearrange, repeat
from torch import Tensor

HIGHEST, LOWEST, RHO = 700.0, 0.002, 7.0  # of sampling, as Stable Video Diffusion has them
Predict = Callable[[Tensor, Tensor], Tensor]  # scaled latents, what stands for sigma -> output of a network


@dataclass(frozen=True)
class EdmLevels:
    """Noise of a log-normal strength; signal has a variance of 1.

    Mean and spread are of ln sigma: 0.7 and 1.6 in the pretraining of Stable Video Diffusion, and 1 and 1.6
    in its last stage: larger pictures hide less under the same noise.
    """

    mean: float = 0.7
    spread: float = 1.6

    def draw(self, clips: int, frames: int, dice: torch.Generator) -> Tensor:
        """Strengths of clips, one for all frames of each."""
        strengths = (self.mean + self.spread * torch.randn(clips, generator=dice)).exp()
        return repeat(strengths, "b -> (b f)", f=frames)

    def loss(self, predict: Predict, x: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        """Mean of (1 + sigma^2) / sigma^2 times the squared error of what is clean, in float32 (scalar).

        It is computed as the plain error of the network's output, which is the same and loses no digits
        where there is little noise.
        """
        wide = _wide(sigma)
        noisy = x + wide * noise
        output = predict(noisy / (wide**2 + 1).sqrt(), sigma.log() / 4)
        target = (noise - wide * x) / (wide**2 + 1).sqrt()
        return (output.float() - target.float()).square().mean()

    def clean(self, predict: Predict, noisy: Tensor, sigma: Tensor) -> Tensor:
        """Clean latents that a network sees in noisy ones."""
        wide = _wide(sigma)
        output = predict(noisy / (wide**2 + 1).sqrt(), sigma.log() / 4)
        return noisy / (wide**2 + 1) - wide / (wide**2 + 1).sqrt() * output


@torch.no_grad()
def euler(
    predict: Predict, noise: Tensor, steps: int, highest: float = HIGHEST, lowest: float = LOWEST
) -> Tensor:
    """Clean latents from noise of deviation 1, by Euler's method over falling strengths (EDM, section 3)."""
    levels = EdmLevels()
    falling = torch.linspace(highest ** (1 / RHO), lowest ** (1 / RHO), steps) ** RHO
    strengths = [*falling.tolist(), 0.0]
    x = noise * math.sqrt(1 + highest**2)
    for now, after in pairwise(strengths):
        clean = levels.clean(predict, x, torch.full((len(x),), now).to(x))
        x = clean + (x - clean) * (after / now)
    return x


def _wide(sigma: Tensor) -> Tensor:
    return rearrange(sigma, "n -> n 1 1 1")
