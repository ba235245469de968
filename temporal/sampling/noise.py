"""Noise whose frames are related, so that a video starts from more than a row of unrelated images.

Shapes: f frames, c h w a latent.
"""

from collections.abc import Sequence
from math import sqrt
from typing import Literal

import torch
from torch import Tensor

from ..errors import InvalidInputError

NoiseMode = Literal["independent", "mixed", "progressive"]

SHARED_SEED = 0x9E3779B97F4A7C15  # tells the seed of the shared noise from that of the frames
SEEDS = 2**64
PART = 0xD1B54A32D192ED03  # from part to part; odd, so that the low 32 bits differ, too


def seed_of_part(seed: int, number: int) -> int:
    """Seed of one part of a clip that is made in parts: each has noise of its own, part 0 that of the seed.

    PyTorch's generator on the CPU reads the low 32 bits alone: seeds that are apart above these give the same
    noise.
    """
    return (seed + number * PART) % SEEDS


def correlated_noise(
    shape: Sequence[int], seed: int, mode: NoiseMode = "independent", strength: float = 0.0
) -> Tensor:
    """Gaussian noise (f c h w) that is correlated between frames ("Preserve Your Own Correlation").

    Each element has unit variance; float32 on the CPU.

    `strength` 0..1 is the correlation of neighbouring frames: 0 is independent noise, 1 the same noise in
    each frame. "mixed" relates any two frames alike, "progressive" makes each frame from the one before. A
    frame's noise depends on the seed and the frames before it, never on how many follow.

    Raises:
        InvalidInputError: an unknown mode, or a strength outside 0..1.
    """
    if mode not in ("independent", "mixed", "progressive"):
        raise InvalidInputError(
            f'Noise mode {mode!r} is unknown; choose "independent", "mixed" or "progressive".'
        )
    if not 0 <= strength <= 1:
        raise InvalidInputError(f"The strength of correlated noise must lie in 0..1, but it is {strength}.")
    num_frames, *frame_shape = shape
    generator = torch.Generator().manual_seed(seed % SEEDS)
    own = torch.stack([torch.randn(frame_shape, generator=generator) for _ in range(num_frames)])
    if mode == "mixed":
        generator = torch.Generator().manual_seed((seed ^ SHARED_SEED) % SEEDS)
        return sqrt(strength) * torch.randn(frame_shape, generator=generator) + sqrt(1 - strength) * own
    if mode == "progressive":
        frames = [own[0]]
        for noise in own[1:]:
            frames.append(strength * frames[-1] + sqrt(1 - strength**2) * noise)
        return torch.stack(frames)
    return own


def repeat_noise(noise: Tensor, length: int, overlap: int) -> Tensor:
    """Noise (f c h w) whose first `length` frames come again in another order (FreeNoise).

    Each run of `length - overlap` frames after the first window is the run `length` frames before it,
    shuffled, so that windows share their noise and distant frames stay related. The order is the same on
    every run.
    """
    generator = torch.Generator().manual_seed(SHARED_SEED % SEEDS)
    repeated = noise.clone()
    for start in range(length, len(noise), length - overlap):
        run = min(length - overlap, len(noise) - start)
        order = torch.randperm(length - overlap, generator=generator) + start - length
        repeated[start : start + run] = repeated[order[:run].to(noise.device)]
    return repeated
