"""Kinds of training of temporal layers: for clips from text, and for the SD x4 upscaler.

Shapes: frames (f h w 3) in 0..1, kept as (f c h w).
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ....temporal.stack.stack import StackConfig
from ....temporal.training.config import TrainingConfig
from ....temporal.training.data.batches import BatchSource
from ....temporal.training.data.buckets.source import Batches, BucketSource, ClipBuckets, Clips
from ....temporal.training.data.enlarging import PatchSource
from ..layers.shapes import base_name
from .models import Checkpoint


class TrainedModel:
    """An image model that makes clips from text, and from known frames."""

    cache_name = ""  # in front of what a cache was made from
    needs_captions = True
    takes_sizes = True  # clips of several sizes

    def __init__(self, models: Checkpoint, config: TrainingConfig, with_image: bool = False) -> None:
        self.models, self.config, self.with_image = models, config, with_image
        self.noise_levels = models.noise_levels()

    def check_size(self, width: int, height: int) -> None:
        """Refuse clips of a size that training cannot use, before anything is prepared."""

    def encode(self, frames: Tensor) -> Tensor:
        """Content of the cache for frames."""
        return self.models.encode(frames)

    @property
    def multiple(self) -> int:
        """Pixels that the sides of every size are a multiple of: those of a place at the lowest level."""
        return 8 * 2 ** (len(self.models.shape.channel_mult) - 1)

    def batches(self, clips: Clips, config: TrainingConfig | None = None) -> Batches:
        """Batches that every step draws from, of these settings or others."""
        config = config or self.config
        if isinstance(clips, ClipBuckets):
            return BucketSource(clips, config, self.noise_levels)
        return BatchSource(clips, config, self.noise_levels)

    def step_size(self, clips: Clips) -> tuple[int, int, int]:
        """Channels, height and width of what a step computes on, at most."""
        shape = clips.largest if isinstance(clips, ClipBuckets) else clips.latents.shape
        height, width = shape[-2:]
        return self.models.channels, int(height), int(width)

    def new_layers(self) -> StackConfig:
        """New temporal layers."""
        shape = self.models.shape
        return StackConfig(
            unet=shape,
            base=base_name(shape),
            max_frames=self.config.num_frames,
            known_frames=set(self.config.patterns) != {"none"},
            frame_rate=True,
            positions="tokens",
            image_model="changed" if self.with_image else None,
        )


class TrainedUpscaler(TrainedModel):
    """The SD x4 upscaler: it makes large patches of clips from small ones, with or without text."""

    cache_name = "x4 "
    needs_captions = False
    takes_sizes = False

    def __init__(self, models: Checkpoint, config: TrainingConfig, side: int) -> None:
        super().__init__(models, replace(config, patterns={"none": 1.0}))
        self.enlarging = models.enlarging(side)

    def check_size(self, width: int, height: int) -> None:
        self.enlarging.check(height // self.enlarging.scale, width // self.enlarging.scale)

    def encode(self, frames: Tensor) -> Tensor:
        return self.models.encode_both(frames)

    def batches(self, clips: Clips, config: TrainingConfig | None = None) -> Batches:
        if isinstance(clips, ClipBuckets):
            raise TypeError("patches are drawn from clips of one size")  # refused by `takes_sizes` before
        return PatchSource(clips, config or self.config, self.noise_levels, self.enlarging)

    def step_size(self, clips: Clips) -> tuple[int, int, int]:
        return self.models.channels, self.enlarging.side, self.enlarging.side

    def new_layers(self) -> StackConfig:
        return replace(super().new_layers(), prediction=self.noise_levels.target)
