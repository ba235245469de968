"""Train temporal layers on a folder of clips.

What `python -m video_ldm.training` does once the host has been started.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from ...nodes.host.layers.self_test import check_host
from ...nodes.host.training import models as host
from ...nodes.host.training.data.buckets import prepare_data
from ...nodes.host.training.estimate import Step, level_for
from ...nodes.host.training.kinds import TrainedModel
from ...nodes.host.training.layers import write_layers
from ...nodes.host.training.unet import blocks_of, compile_blocks
from ...temporal.errors import InvalidInputError
from ...temporal.formats import load_stack
from ...temporal.sampling.clip import Clip
from ...temporal.stack.stack import TemporalStack
from ...temporal.training.config import TrainingConfig
from ...temporal.training.data import preparing
from ...temporal.training.data.buckets.source import Clips
from ...temporal.training.engine import ALONE, Engine
from ...temporal.training.loop import LayersTrainer, Surroundings
from ...temporal.training.lora.layers import LowRank
from ...temporal.training.memory.levels import AUTO, FAST
from ...temporal.training.memory.recompute import Memory
from ...temporal.training.sampling import SampledModel, ddim
from ...temporal.training.sense import check_sense
from ...temporal.training.trainer import computing_in
from ...temporal.training.watching.frozen import some_numbers
from ..kinds import config_for_layers, footage_of, on_own_betas, trained_model, with_positions_on_tokens
from ..options import due
from ..results import check_out, train, write_samples

logger = logging.getLogger(__name__)
SAMPLES = 4


def run(args: argparse.Namespace, config: TrainingConfig, processes: Engine = ALONE) -> None:
    """Prepare the clips, train, and write the averaged layers.

    Raises VideoLDMError for what the user can change.
    """
    out = check_out(args) if processes.is_first else Path(args.out)
    if line := check_host():
        logger.info(line)
    if args.threads:
        torch.set_num_threads(args.threads)
    models = host.load_checkpoint(args.checkpoint)
    init = load_stack(args.init, dtype=torch.float32) if args.init else None
    if init is None and args.positions_on_tokens:
        raise InvalidInputError(
            "--positions-on-tokens is given without --init, but new layers have them there anyway; leave it "
            "out."
        )
    if init is not None:
        init = with_positions_on_tokens(init, args.init) if args.positions_on_tokens else init
        config = config_for_layers(config, init, args)
        models = on_own_betas(models, init, args.init)
    kind = trained_model(models, config, args)
    with processes.first_one_first():
        clips = prepare_data(footage_of(args), kind)
    logger.info("%d clips, %d captions, %d frames", len(clips), len(clips.captions), clips.num_frames)
    batches = kind.batches(clips)
    torch.manual_seed(config.seed)
    stack = new_or_given_stack(kind, init, args.init)
    check_image_model(stack, args)
    memory = memory_for(kind, stack, clips, args, shares=processes.shares)
    memory = replace(memory, engine=processes)
    precision = torch.bfloat16 if config.precision == "bf16" else torch.float32
    unet = models.frozen_unet(precision)
    device = next(unet.parameters()).device
    if not processes.shards:  # which puts one layer after the other there
        _beside(unet, stack)
    frozen = some_numbers(unet)  # by the names that it has before it is compiled
    if args.compile:
        compile_blocks(unet, stack)
    denoise = models.denoiser(unet, memory.kept)
    around = Surroundings(denoise, batches, device.type, args.workers, memory, frozen)
    trainer = LayersTrainer(stack, around)
    prompts = models.embed(["", *(args.prompt or batches.sample_captions(SAMPLES))])

    def show() -> None:
        made, fps = sample_clips(trainer, models, prompts, args.guidance)
        write_samples(trainer, out, made, fps)

    def check() -> None:
        if config.check_clips and due(trainer.step, args.check_every):
            found = check_sense(trainer)
            logger.info("step %d, %s", trainer.step, found)
            trainer.finished = 0 < args.stop_when_known <= found.least_known

    write = partial(write_layers, trainer=trainer, image_model=Path(args.checkpoint).name)
    with memory.used_by(blocks_of(unet, stack)):
        train(trainer, args, write, show, args.validate_every, check)


def _beside(unet: nn.Module, stack: TemporalStack) -> None:
    """Put the layers where the image model is, with changes to it where it trains along."""
    stack.to(next(unet.parameters()).device)
    if stack.config.image_model is not None:
        stack.train_image({name: weight.shape for name, weight in unet.named_parameters()})


def memory_for(
    kind: TrainedModel,
    stack: TemporalStack,
    clips: Clips,
    args: argparse.Namespace,
    lora: Callable[[TemporalStack], LowRank] | None = None,
    shares: int = 1,
) -> Memory:
    """The level of memory of a run, with a line on what it takes; `lora` makes factors that train instead.

    `shares`: processes that share out what learns.

    Raises InvalidInputError where the training does not fit on the device, with the level that would.
    """
    if stack.config.image_model is not None:  # whose weights are others when a block is computed again
        if args.memory not in (AUTO, FAST.name):
            raise InvalidInputError(
                f"--memory is {args.memory}, but an image model that trains along needs all its blocks kept; "
                "leave --memory out."
            )
        return Memory()
    step = Step(kind.models.model, stack.config, kind.config, kind.step_size(clips), lora, shares)
    level, line = level_for(step, args.memory, host.training_device())
    logger.info(line)
    return Memory(level)


def new_or_given_stack(kind: TrainedModel, stack: TemporalStack | None, init: str | None) -> TemporalStack:
    """New layers for the image model, or the given ones of a file.

    Raises InvalidInputError where these do not fit.
    """
    new = kind.new_layers()
    if stack is None:
        return TemporalStack(new)
    if stack.config.unet != new.unet:
        raise InvalidInputError(
            f"The layers in {init} were made for {stack.config.base}, not for this checkpoint."
        )
    return stack


def check_image_model(stack: TemporalStack, args: argparse.Namespace) -> None:
    """Refuse options that do not go with an image model that trains along, or with one that does not.

    Raises InvalidInputError.
    """
    along = stack.config.image_model is not None
    if args.train_image_model and not along:
        raise InvalidInputError(
            f"--train-image-model starts new layers, but those in {args.init} go with an image model as it "
            "was; leave out --train-image-model or --init."
        )
    if along and not stack.config.known_frames:
        raise InvalidInputError(
            "--train-image-model is for clips with given frames, but --patterns gives none; name some, "
            "e.g. ends=1."
        )
    if along and args.compile:
        raise InvalidInputError(
            "--compile keeps the image model's weights as they are, but this run trains them along; leave "
            "--compile out."
        )


def sample_clips(
    trainer: LayersTrainer, models: host.Checkpoint, prompts: preparing.Embedded, guidance: float
) -> tuple[list[Tensor], float]:
    """One clip per prompt after the first, which is empty, from the averaged layers.

    Frames (f h w 3), their frame rate.
    """
    stack, config = trainer.stack, trainer.config
    model = SampledModel(trainer.denoise, stack, trainer.batches.noise_levels)
    shape, fps = trainer.batches.sample_shape, float(trainer.batches.cache.fps[0]) / config.strides[0]
    texts, pooled = (None if part is None else part.to(trainer.device) for part in prompts)
    clips = []
    with (
        trainer.with_average(),
        computing_in(config.precision, trainer.device),
    ):
        for number in range(1, len(texts)):
            generator = torch.Generator().manual_seed(number - 1)
            noise = torch.randn(shape, generator=generator).to(trainer.device)
            clip = Clip(num_frames=shape[0], fps=fps)
            conditions = trainer.batches.sample_conditions([number - 1] * 2).to(trainer.device)
            if pooled is not None:
                conditions = replace(conditions, pooled=pooled[[number, 0]])
            text, empty = texts[number : number + 1], texts[:1]
            latents = ddim(model, noise, text, empty, clip, guidance=guidance, conditions=conditions)
            clips.append(models.decode(latents))
    return clips, fps
