"""A tiny upscaler of random weights, and something to enlarge."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from video_ldm.temporal.upscaler import UpscalerConfig, VideoUpscaler

TINY = UpscalerConfig(
    scale=4, patch=4, channels=8, channel_mult=(1, 2), num_res_blocks=1, heads=2, max_frames=4,
    residual_std=0.05, max_noise_level=0.5,
)  # fmt: skip


def random_upscaler(config: UpscalerConfig = TINY, std: float = 0.15) -> VideoUpscaler:
    """An upscaler in which every weight counts."""
    torch.manual_seed(0)
    upscaler = VideoUpscaler(config)
    for parameter in upscaler.parameters():
        nn.init.normal_(parameter, std=std)
    return upscaler


def inputs(
    config: UpscalerConfig, num_frames: int, h: int = 6, w: int = 10
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Noisy residual, given frames and the two noise levels."""
    generator = torch.Generator().manual_seed(1)
    noisy = torch.randn(num_frames, 3, config.scale * h, config.scale * w, generator=generator)
    given = torch.rand(num_frames, 3, h, w, generator=generator) * 2 - 1
    time, level = torch.rand(2, num_frames, generator=generator)
    return noisy, given, time, level


def moving_clip(num_frames: int, h: int, w: int) -> Tensor:
    """Frames (f h w 3) in 0..1, smooth and moving."""
    f, y, x = torch.meshgrid(
        torch.arange(float(num_frames)), torch.arange(h) / h, torch.arange(w) / w, indexing="ij"
    )
    waves = [torch.sin(6 * y + 9 * x * k + 0.4 * f + k) for k in (1, 2, 3)]
    return torch.stack(waves, dim=-1) * 0.35 + 0.5
