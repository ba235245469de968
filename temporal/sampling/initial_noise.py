"""Initial noise of a clip.

Kinds of it, a seed for every frame, and rounds that keep its low frequencies (FreeInit).

Shapes: f frames, c h w a latent.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from .noise import SEEDS

KINDS = DEFAULT, CONSTANT, EMPTY, REPEATED, FREE = (
    "default",
    "constant",
    "empty",
    "repeated_context",
    "FreeNoise",
)
FILTERS = GAUSSIAN, BUTTERWORTH, IDEAL, BOX = ("gaussian", "butterworth", "ideal", "box")


@dataclass(frozen=True)
class NoiseSettings:
    """One kind of noise: a seed for the clip or for each frame.

    Offsets to the seed and to the frames drawn before.
    """

    kind: str = DEFAULT
    seed_per_frame: bool = False
    seed_offset: int = 0
    frame_offset: int = 0


@dataclass(frozen=True)
class LowPass:
    """Low-pass filter that decides which frequencies of the result a round keeps.

    Shares of the highest in space and time, and a kind of filter.

    `sharpness`: of butterworth alone, the order.
    """

    kind: str = GAUSSIAN
    space: float = 0.25
    time: float = 0.25
    sharpness: int = 4

    def mask(self, frames: int, height: int, width: int) -> Tensor:
        """Share of each frequency that is kept (f 1 h w), lowest in the middle (FreeInit, section 4.2)."""
        if self.space == 0 or self.time == 0:
            return torch.zeros(frames, 1, height, width)
        if self.kind == BOX:
            return self._box(frames, height, width)
        t, h, w = (2 * torch.arange(n) / n - 1 for n in (frames, height, width))
        t = t * self.space / self.time
        distance = (t[:, None, None] ** 2 + h[None, :, None] ** 2 + w[None, None, :] ** 2)[:, None]
        if self.kind == GAUSSIAN:
            return torch.exp(-distance / (2 * self.space**2))
        if self.kind == BUTTERWORTH:
            return 1 / (1 + (distance / self.space**2) ** self.sharpness)
        return (distance <= 2 * self.space).float()

    def _box(self, frames: int, height: int, width: int) -> Tensor:
        mask = torch.zeros(frames, 1, height, width)
        space, time = round(height // 2 * self.space), round(frames // 2 * self.time)
        spans = [
            slice(n // 2 - reach, n // 2 + reach)
            for n, reach in ((frames, time), (height, space), (width, space))
        ]
        mask[spans[0], :, spans[1], spans[2]] = 1
        return mask


def initial_noise(
    shape: torch.Size, seed: int, settings: NoiseSettings, window: tuple[int, int] | None
) -> Tensor:
    """Noise (f c h w), float32 on the CPU.

    `window`: length and overlap of windows, which two of the kinds follow.
    """
    frames, *frame = shape
    seed += settings.seed_offset
    if settings.kind == EMPTY:
        return torch.zeros(shape)
    if settings.kind == CONSTANT:
        if settings.seed_per_frame:
            return _drawn(1, frame, seed + settings.frame_offset).repeat(frames, 1, 1, 1)
        return _drawn(1 + settings.frame_offset, frame, seed)[-1:].repeat(frames, 1, 1, 1)
    if settings.seed_per_frame:
        own = [_drawn(1, frame, seed + settings.frame_offset + number) for number in range(frames)]
        noise = torch.cat(own)
    else:
        noise = _drawn(frames + settings.frame_offset, frame, seed)[settings.frame_offset :]
    if window is None or settings.kind == DEFAULT:
        return noise
    length, overlap = window
    if settings.kind == REPEATED:
        return noise[[number % length for number in range(frames)]]
    return _shuffled(noise, length, length - overlap, seed)


def _drawn(frames: int, frame: list[int], seed: int) -> Tensor:
    return torch.randn((frames, *frame), generator=torch.Generator().manual_seed(seed % SEEDS))


def _shuffled(noise: Tensor, length: int, step: int, seed: int) -> Tensor:
    """Noise whose first window comes again, each run of `step` frames in another order (FreeNoise).

    The seed decides the order.
    """
    generator = torch.Generator().manual_seed(seed % SEEDS)
    noise = noise.clone()
    for place in range(length, len(noise), step):
        run = min(step, len(noise) - place)
        order = torch.randperm(run, generator=generator) + place - length
        noise[place : place + run] = noise[order]
    return noise


def next_round(made: Tensor, noise: Tensor, fresh: Tensor, sigma: float, low_pass: LowPass) -> Tensor:
    """Noise of the next round (f c h w).

    Low frequencies of the result with the last round's noise, high ones fresh (FreeInit).

    `sigma`: the noise level in units of the result.
    """
    noised = (made + sigma * noise) / sqrt(sigma**2 + 1)
    mask = torch.fft.ifftshift(low_pass.mask(made.shape[0], *made.shape[2:]), dim=(0, 2, 3)).to(made)
    low, high = (torch.fft.fftn(part, dim=(0, 2, 3)) for part in (noised, fresh.to(made)))
    return torch.fft.ifftn(low * mask + high * (1 - mask), dim=(0, 2, 3)).real
