"""A training problem of seconds.

Random latents, a small frozen image model made of plain layers, tiny temporal layers.

Shapes: latents ((b f) c h w); text (b m e).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from video_ldm.temporal.stack.plan import UNetShape
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.training.config import TrainingConfig
from video_ldm.temporal.training.data.batches import BatchSource
from video_ldm.temporal.training.data.buckets.source import Bucket, BucketSource, ClipBuckets, Clips
from video_ldm.temporal.training.data.cache import open_cache
from video_ldm.temporal.training.data.conditions import NOTHING, Conditions
from video_ldm.temporal.training.data.preparing import (
    Embedded,
    write_cache,
    write_captions,
    write_index,
    write_latents,
)
from video_ldm.temporal.training.loop import LayersTrainer, Surroundings
from video_ldm.temporal.training.memory.recompute import Memory
from video_ldm.temporal.training.noise_levels import stable_diffusion_levels

SHAPE = UNetShape(32, (1,), (1,), (1,), (1, 1), 1, context_dim=6, num_heads=2)
# two channels in each group of a norm: a bias before a group of one has rounding errors for a gradient, and
# Adam makes them as large as any
WIDE = replace(SHAPE, model_channels=64)
LATENT = (4, 3, 5)


class ImageModel(nn.Module):
    """A frozen stand-in for a UNet.

    One layer in, one out, and between them the places where temporal layers go.
    """

    def __init__(self, shape: UNetShape = SHAPE) -> None:
        super().__init__()
        width = shape.model_channels
        self.conv_in, self.conv_out = nn.Conv2d(4, width, 3, padding=1), nn.Conv2d(width, 4, 3, padding=1)
        self.emb = nn.Linear(1, shape.embedding_channels)
        self.requires_grad_(False)

    def denoise(
        self,
        noisy: Tensor,
        t: Tensor,
        text: Tensor,
        stack: TemporalStack,
        clip,
        conditions: Conditions = NOTHING,
    ) -> Tensor:
        """The callable that training knows an image model by."""
        h, emb = self.conv_in(noisy), self.emb(t[:, None] / 1000)
        context = repeat(text, "b m e -> (b f) m e", f=clip.num_frames)
        for site in stack.sites:
            if site.kind == "conv":
                h = stack(site, h, clip, emb=emb)
            else:
                tokens = rearrange(h, "n c h w -> n (h w) c")
                tokens = stack(site, tokens, clip, context=context)
                h = rearrange(tokens, "n (h w) c -> n c h w", h=noisy.shape[2])
        return self.conv_out(h)


def clips(count: int = 6, num_frames: int = 9) -> list[tuple[Tensor, str, float]]:
    """Clips in which every frame of a clip is nearly the same: what only layers in time can make use of."""
    generator = torch.Generator().manual_seed(3)
    still = [torch.randn(1, *LATENT, generator=generator) for _ in range(count)]
    jitter = [0.05 * torch.randn(num_frames, *LATENT, generator=generator) for _ in range(count)]
    return [(a + b, f"clip {i % 3}", 8.0) for i, (a, b) in enumerate(zip(still, jitter, strict=True))]


def encode(captions: list[str]) -> Tensor:
    """Text embeddings (captions 2 6) that differ by caption and by token.

    Alike tokens leave attention nothing to learn.
    """
    tokens = torch.tensor([1.0, -0.5]).repeat_interleave(6).reshape(2, 6)
    return torch.stack([tokens * float(sum(caption.encode()) % 17) / 17 for caption in captions])


def embed(captions: list[str]) -> Embedded:
    """Text embeddings for a cache, without pooled text."""
    return encode(captions), None


def make_cache(folder: Path, **settings):
    """A cache of those clips on disk, opened."""
    write_cache(folder, clips(**settings))
    write_captions(folder, "tiny", embed)
    return open_cache(folder, "tiny")


# width, height and frames of the clips of each bucket, how many of them, and the lengths they are drawn at
KINDS: Mapping[str, tuple[tuple[int, int], int, int, tuple[int, ...]]] = MappingProxyType({
    "wide": ((5, 3), 9, 6, (4,)),
    "tall": ((3, 5), 9, 2, (4,)),
    "short": ((5, 3), 3, 4, (2,)),
    "still": ((5, 3), 1, 3, (1,)),
})  # fmt: skip


def make_buckets(folder: Path) -> None:
    """Clips of two shapes, of the first also short ones and pictures. Clips 0 and 1 are of one film each."""
    generator = torch.Generator().manual_seed(4)
    for name, ((width, height), frames, count, _) in KINDS.items():
        place = folder / name
        place.mkdir(parents=True)
        for number in range(count):
            latents = torch.randn(frames, 4, height, width, generator=generator)
            write_latents(place / f"{number}.npy", [latents])
        more = {"files": [f"{n}.npy" for n in range(count)], "sources": [f"film {n}" for n in range(count)]}
        offsets = np.arange(0, frames * count + 1, frames).tolist()
        captions = [f"{name} going {('left', 'right')[n % 2]}" for n in range(count)]
        write_index(place, captions, offsets, [8.0] * count, more=more)
        write_captions(place, "tiny", embed)


def open_buckets(folder: Path) -> ClipBuckets:
    """Those clips, with pictures in a quarter of the steps."""
    parts = [Bucket(open_cache(folder / n, "tiny"), kind[3], n == "still") for n, kind in KINDS.items()]
    return ClipBuckets(tuple(parts), images=0.25)


def settings(**changes) -> TrainingConfig:
    """Settings under which the tiny problem is learned in seconds."""
    defaults = {
        "num_frames": 4,
        "steps": 6,
        "batch": 2,
        "learning_rate": 3e-3,
        "warmup": 2,
        "ema": 0.9,
        "strides": (1, 2),
        "patterns": {"none": 0.5, "first": 0.3, "random": 0.2},
    }
    return TrainingConfig(**{**defaults, **changes})


def make_trainer(
    clips: Clips,
    image_model: ImageModel,
    workers: int = 0,
    shape: UNetShape = SHAPE,
    memory: Memory | None = None,
    **changes,
) -> LayersTrainer:
    """A trainer with new layers, always the same ones."""
    config = settings(**changes)
    torch.manual_seed(1)
    stack = TemporalStack(StackConfig(shape, "tiny", config.num_frames, known_frames=True, frame_rate=True))
    source = BucketSource if isinstance(clips, ClipBuckets) else BatchSource
    batches = source(clips, config, stable_diffusion_levels())
    return LayersTrainer(stack, Surroundings(image_model.denoise, batches, workers=workers, memory=memory))
