"""Noise of the upscaler.

A cosine schedule in continuous time, and noise that belongs to a frame and not to a chunk.

Shapes: n frames, c h w.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

MIXED_SEEDS = 2**63


def signal_and_noise(time: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma (n 1 1 1) of times (n,): 0 is clean, 1 is pure noise; alpha^2 + sigma^2 = 1."""
    angle = time.cpu().double() * (math.pi / 2)  # not every device has doubles
    angle = angle.reshape(-1, *(1,) * (like.ndim - 1))
    return angle.cos().to(like), angle.sin().to(like)


def add_noise(x: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """alpha x + sigma noise, all (n c h w)."""
    alpha, sigma = signal_and_noise(time, x)
    return alpha * x + sigma * noise


def velocity(x: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """The network's target: alpha noise - sigma x."""
    alpha, sigma = signal_and_noise(time, x)
    return alpha * noise - sigma * x


def split(noisy: Tensor, v: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
    """Clean signal and noise that a prediction of v stands for."""
    alpha, sigma = signal_and_noise(time, noisy)
    return alpha * noisy - sigma * v, sigma * noisy + alpha * v


def mixed_noise(own: Tensor, shared: Tensor, share: float) -> Tensor:
    """Gaussian noise of which `share` of the variance is the same in all frames.

    "Preserve Your Own Correlation", section 4.

    What an upscaler makes of noise it makes alike where the noise is: frames that start from unrelated noise
    flicker.
    """
    return math.sqrt(share) * shared + math.sqrt(1 - share) * own


def frame_noise(shape: Sequence[int], seed: int, stream: int, frame: int) -> Tensor:
    """Gaussian noise (c h w) of one frame of a clip, float32 on the CPU.

    It depends on the seed, the stream (one per use) and the frame's number in the clip, never on what is
    computed together.
    """
    mixed = (
        seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03 + frame * 0x2545F4914F6CDD1D
    ) % MIXED_SEEDS
    return torch.randn(shape, generator=torch.Generator().manual_seed(mixed))
