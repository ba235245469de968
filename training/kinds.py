"""Kinds of models that temporal layers are trained for, as the command line sees them.

What each keeps of a clip and what it draws.

Shapes: frames (f h w 3) in 0..1, kept as (f c h w).
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ..nodes.host.layers.shapes import base_name
from ..nodes.host.training.models import Checkpoint
from ..temporal.errors import InvalidInputError
from ..temporal.formats import trained_betas
from ..temporal.stack.stack import StackConfig, TemporalStack
from ..temporal.training.config import TrainingConfig
from ..temporal.training.data.batches import BatchSource
from ..temporal.training.data.cache import ClipCache
from ..temporal.training.data.enlarging import PatchSource

logger = logging.getLogger(__name__)


class TrainedModel:
    """An image model that makes clips from text, and from known frames."""

    cache_name = ""  # in front of what a cache was made from
    needs_captions = True

    def __init__(self, models: Checkpoint, config: TrainingConfig, with_image: bool = False) -> None:
        self.models, self.config, self.with_image = models, config, with_image
        self.noise_levels = models.noise_levels()

    def check_size(self, width: int, height: int) -> None:
        """Refuse clips of a size that training cannot use, before anything is prepared."""

    def encode(self, frames: Tensor) -> Tensor:
        """Content of the cache for frames."""
        return self.models.encode(frames)

    def batches(self, clips: ClipCache) -> BatchSource:
        """Batches that every step draws from."""
        return BatchSource(clips, self.config, self.noise_levels)

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

    def __init__(self, models: Checkpoint, config: TrainingConfig, side: int) -> None:
        super().__init__(models, replace(config, patterns={"none": 1.0}))
        self.enlarging = models.enlarging(side)

    def check_size(self, width: int, height: int) -> None:
        self.enlarging.check(height // self.enlarging.scale, width // self.enlarging.scale)

    def encode(self, frames: Tensor) -> Tensor:
        return self.models.encode_both(frames)

    def batches(self, clips: ClipCache) -> BatchSource:
        return PatchSource(clips, self.config, self.noise_levels, self.enlarging)

    def new_layers(self) -> StackConfig:
        return replace(super().new_layers(), prediction=self.noise_levels.target)


def trained_model(models: Checkpoint, config: TrainingConfig, args: argparse.Namespace) -> TrainedModel:
    """Kind of model that a checkpoint is trained for.

    Raises InvalidInputError for options that mean nothing to it.
    """
    if not models.enlarges:
        return TrainedModel(models, config, args.train_image_model)
    if args.train_image_model:
        raise InvalidInputError(
            "--train-image-model is for clips whose given frames stand at the input, but the SD x4 upscaler "
            "is given small frames there; leave --train-image-model out."
        )
    if args.patterns and set(config.patterns) != {"none"}:
        raise InvalidInputError(
            f"--patterns is {args.patterns}, but the SD x4 upscaler is given small frames instead of known "
            "ones; leave --patterns out."
        )
    if config.reversed:
        raise InvalidInputError(
            f"--reversed is {args.reversed}, but the SD x4 upscaler is shown where everything moves; leave "
            "--reversed out."
        )
    return TrainedUpscaler(models, config, args.side)


def config_for_layers(
    config: TrainingConfig, stack: TemporalStack, args: argparse.Namespace
) -> TrainingConfig:
    """The settings for layers of a file. Raises InvalidInputError for options that mean nothing to them."""
    if stack.config.known_frames:
        return config
    asked = f"--patterns is {args.patterns}" if args.patterns and set(config.patterns) != {"none"} else ""
    asked = asked or (f"--known-noise is {args.known_noise}" if args.known_noise else "")
    if asked:
        raise InvalidInputError(
            f"{asked}, but the layers in {args.init} see no known frames and would learn nothing of them; "
            "leave the option out, or train new layers without --init."
        )
    return replace(config, patterns={"none": 1.0})


def on_own_betas(models: Checkpoint, stack: TemporalStack, init: str) -> Checkpoint:
    """The image model on the betas that layers of a file were trained with, which are often not its own."""
    betas = trained_betas(stack)
    if betas is None:
        return models
    logger.info(
        "%s was trained with %s betas, %g to %g: trained on them, not on the checkpoint's",
        *(Path(init).name, betas.curve, betas.start, betas.end),
    )
    # a distilled schedule leaves out most steps, and training needs them all
    return models.on_betas(replace(betas, lcm_steps=None))
