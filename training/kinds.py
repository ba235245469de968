"""Kinds of models that temporal layers are trained for, as the command line sees them.

What each keeps of a clip and what it draws.

Shapes: frames (f h w 3) in 0..1, kept as (f c h w).
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

from ..nodes.host.training.data.encoding import Footage
from ..nodes.host.training.kinds import TrainedModel, TrainedUpscaler
from ..nodes.host.training.models import Checkpoint
from ..temporal.errors import InvalidInputError
from ..temporal.formats import trained_betas
from ..temporal.stack.stack import TemporalStack
from ..temporal.training.config import TrainingConfig
from ..temporal.training.data.camera import MOVES
from .options import parse_size

logger = logging.getLogger(__name__)


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


def with_positions_on_tokens(stack: TemporalStack, init: str) -> TemporalStack:
    """The layers of a file, with the numbers of the frames on all tokens instead of in the attention only.

    They have the same weights and give something else at first; training then finds the sense of a motion
    sooner. Raises InvalidInputError for layers of a family that has no such choice.
    """
    config = stack.config
    if config.motion or config.lvdm or config.inside:
        raise InvalidInputError(
            f"--positions-on-tokens is given, but the layers in {init} are those of {config.family}, which "
            "only work as they were published; leave the option out."
        )
    moved = TemporalStack(replace(config, positions="tokens"))
    moved.load_state_dict(stack.state_dict())
    return moved


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


def footage_of(args: argparse.Namespace) -> Footage:
    """The folder of clips, and how it is read; raises InvalidInputError for a size that no model takes."""
    camera = getattr(args, "camera", None) or ""
    trigger = getattr(args, "trigger", "").strip() or (MOVES[camera].words if camera else "")
    footage = Footage(Path(args.clips), args.fps, parse_size(args.size), trigger, camera)
    return replace(footage, buckets=args.buckets, images=args.images)
