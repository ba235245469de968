"""Noise levels of the image model, step by step.

Shapes: x, noise, prediction ((b f) c h w); t ((b f),) integers; alphas (steps,).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Prediction = Literal["eps", "v"]


@dataclass(frozen=True)
class NoiseLevels:
    """Variance-preserving forward process in discrete time (Video LDM, section 2).

    `alphas_cumprod[t]` is the share of signal variance left at step t.
    """

    alphas_cumprod: Tensor
    target: Prediction = "eps"

    @property
    def num_steps(self) -> int:
        return len(self.alphas_cumprod)

    def signal_and_noise(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Factors alpha and sigma at t, each ((b f) 1 1 1) in the dtype and on the device of `like`."""
        signal = self.alphas_cumprod.to(t.device)[t].view(-1, *(1,) * (like.ndim - 1))
        return signal.sqrt().to(like), (1 - signal).sqrt().to(like)

    def add_noise(self, x: Tensor, noise: Tensor, t: Tensor, signal: Tensor | None = None) -> Tensor:
        """Noisy latents `alpha x + sigma noise`.

        With a `signal` in 0..1, ((b f),), that share of alpha and more noise.
        """
        alpha, sigma = self.signal_and_noise(t, x)
        if signal is not None:
            alpha = alpha * signal.to(alpha).view_as(alpha)
            sigma = (1 - alpha**2).sqrt()
        return alpha * x + sigma * noise

    def training_target(self, x: Tensor, noisy: Tensor, t: Tensor) -> Tensor:
        """Target that the network predicts of noisy latents so that x is read from it: the noise, or v."""
        alpha, sigma = self.signal_and_noise(t, x)
        if self.target == "eps":
            return (noisy - alpha * x) / sigma
        return (alpha * noisy - x) / sigma

    def weight(self, t: Tensor, limit: float) -> Tensor:
        """Loss weight ((b f),) that makes every noise level count alike; 1 / alpha^2 up to `limit`, mean 1.

        On the error of the noise this is the error of v (Salimans and Ho 2022): with plain noise prediction,
        the high noise at which motion is decided has next to no share in the loss. A limit of 1 is the
        plain loss of Video LDM (equation 2).
        """
        all_steps = (1 / self.alphas_cumprod).clamp(max=limit)
        return (all_steps / all_steps.mean()).to(t.device)[t]

    def min_snr_weight(self, t: Tensor, gamma: float) -> Tensor:
        """Loss weight ((b f),) that keeps little noise from ruling: min(SNR, gamma) on the error of x.

        Min-SNR weighting (Hang et al. 2023, arXiv 2303.09556, section 3.4), for what the network predicts.
        """
        ratio = self.alphas_cumprod / (1 - self.alphas_cumprod)
        of_error = ratio if self.target == "eps" else ratio + 1
        return (ratio.clamp(max=gamma) / of_error).to(t.device)[t]

    def split(self, noisy: Tensor, prediction: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Clean latents and noise that a prediction stands for."""
        alpha, sigma = self.signal_and_noise(t, noisy)
        if self.target == "eps":
            return (noisy - sigma * prediction) / alpha, prediction
        return alpha * noisy - sigma * prediction, sigma * noisy + alpha * prediction


def stable_diffusion_levels(
    target: Prediction = "eps", start: float = 0.00085, end: float = 0.012, num_steps: int = 1000
) -> NoiseLevels:
    """The schedule of Stable Diffusion: linear in the square root of beta."""
    betas = torch.linspace(math.sqrt(start), math.sqrt(end), num_steps, dtype=torch.float64) ** 2
    return NoiseLevels((1 - betas).cumprod(0).float(), target)
