"""Train a motion LoRA: what `python -m video_ldm.training lora` does once the host has been started."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch

from ...nodes.host.layers.self_test import check_host
from ...nodes.host.training.data.buckets import prepare_data
from ...nodes.host.training.lora import Lesson
from ...nodes.host.training.models import load_checkpoint
from ...temporal.formats import load_stack
from ...temporal.formats.lora_names import check_single_frames
from ...temporal.formats.lora_writing import check_spelling, usual_spelling
from ...temporal.training.config import TrainingConfig
from ...temporal.training.engine import ALONE, Engine
from ...temporal.training.lora.config import LoraConfig
from ...temporal.training.lora.files import new_lora, places_of, write_image_lora, write_lora
from ...temporal.training.lora.layers import LowRank
from ...temporal.training.lora.trainer import LoraTrainer
from ..kinds import config_for_layers, footage_of, on_own_betas, trained_model
from ..layers.running import SAMPLES, check_image_model, memory_for, new_or_given_stack, sample_clips
from ..results import check_out, train, two_parts, write_samples

logger = logging.getLogger(__name__)


def run(
    args: argparse.Namespace, config: TrainingConfig, settings: LoraConfig, processes: Engine = ALONE
) -> None:
    """Prepare the clips, learn the looks, then the motion, and write it.

    Raises VideoLDMError for what the user can change.
    """
    if processes.is_first:
        check_out(args)
    before, args = two_parts(args, ".looks") if settings.looks_steps else (args, args)
    if line := check_host():
        logger.info(line)
    if args.threads:
        torch.set_num_threads(args.threads)
    stack = load_stack(args.init, dtype=torch.float32)
    spelling = args.spelling or usual_spelling(stack)
    check_spelling(spelling, stack)
    places = places_of(stack, settings)  # refused before anything is prepared
    if args.images:
        check_single_frames(places)
    config = config_for_layers(config, stack, args)
    models = on_own_betas(load_checkpoint(args.checkpoint), stack, args.init)
    kind = trained_model(models, config, args)
    stack = new_or_given_stack(kind, stack, args.init)
    check_image_model(stack, args)
    with processes.first_one_first():
        clips = prepare_data(footage_of(args), kind)
    memory = memory_for(kind, stack, clips, args, lambda stack: new_lora(stack, settings))
    memory = replace(memory, engine=processes)
    lesson = Lesson(settings, kind, stack, clips, memory, args.workers)

    def learn_looks(trainer: LoraTrainer) -> None:
        train(trainer, before, averaged(trainer, lambda to: write_image_lora(to, trainer.lora)), _nothing, 0)

    def learn_motion(trainer: LoraTrainer, looks: LowRank | None) -> None:
        def write(to: Path) -> None:
            notes = lesson.notes(Path(args.checkpoint).name, Path(args.init).name, trainer.step)
            write_lora(to, trainer.lora, stack, settings, spelling, notes)

        show = _shower(lesson, trainer, looks, args)
        train(trainer, args, averaged(trainer, write), show, args.validate_every)

    precision = torch.bfloat16 if config.precision == "bf16" else torch.float32
    lesson.learn(models.frozen_unet(precision), learn_looks, learn_motion)


def averaged(trainer: LoraTrainer, write: Callable[[Path], None]) -> Callable[[Path], None]:
    """`write` with the averaged factors."""

    def with_average(path: Path) -> None:
        with trainer.average.applied_to(trainer.lora):
            write(path)

    return with_average


def _shower(
    lesson: Lesson, trainer: LoraTrainer, looks: LowRank | None, args: argparse.Namespace
) -> Callable[[], None]:
    """Sample clips as the LoRA will be used: without the looks."""
    models, out = lesson.kind.models, Path(args.out)
    prompts = models.embed(["", *(args.prompt or trainer.batches.sample_captions(SAMPLES))])

    def show() -> None:
        with ExitStack() as used:
            if looks is not None:
                used.enter_context(looks.left_out())
            made, fps = sample_clips(trainer, models, prompts, args.guidance)
        write_samples(trainer, out, made, fps)

    return show


def _nothing() -> None:
    """No pictures of the looks."""
