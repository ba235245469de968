"""Train temporal layers on a folder of clips.

What `python -m video_ldm.training` does once the host has been started.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from ..nodes.host.layers.self_test import check_host
from ..nodes.host.training import models as host
from ..nodes.host.training.unet import compile_blocks
from ..temporal.errors import InvalidInputError
from ..temporal.formats import load_stack, save_stack
from ..temporal.sampling.clip import Clip
from ..temporal.stack.stack import TemporalStack
from ..temporal.training import report
from ..temporal.training.config import TrainingConfig
from ..temporal.training.data import cache, preparing
from ..temporal.training.data.reversal import reversed_captions
from ..temporal.training.loop import LayersTrainer
from ..temporal.training.sampling import ddim
from ..temporal.training.sense import check_sense
from ..temporal.training.trainer import computing_in
from .kinds import TrainedModel, config_for_layers, on_own_betas, trained_model
from .results import check_out, train
from .videos import find_videos, long_enough

logger = logging.getLogger(__name__)
SAMPLES = 4


def run(args: argparse.Namespace, config: TrainingConfig) -> None:
    """Prepare the clips, train, and write the averaged layers.

    Raises VideoLDMError for what the user can change.
    """
    out = check_out(args)
    if line := check_host():
        logger.info(line)
    if args.threads:
        torch.set_num_threads(args.threads)
    models = host.load_checkpoint(args.checkpoint)
    init = load_stack(args.init, dtype=torch.float32) if args.init else None
    if init is not None:
        config = config_for_layers(config, init, args)
        models = on_own_betas(models, init, args.init)
    kind = trained_model(models, config, args)
    clips = prepare_clips(Path(args.clips), kind, args)
    logger.info("%d clips, %d captions, %d frames", len(clips), len(clips.captions), len(clips.latents))
    batches = kind.batches(clips)
    precision = torch.bfloat16 if config.precision == "bf16" else torch.float32
    unet = models.frozen_unet(precision)
    device = next(unet.parameters()).device
    torch.manual_seed(config.seed)
    stack = new_or_given_stack(kind, init, args.init).to(device)
    check_image_model(stack, args)
    if stack.config.image_model is not None:
        stack.train_image({name: weight.shape for name, weight in unet.named_parameters()})
    if args.compile:
        compile_blocks(unet, stack)
    trainer = LayersTrainer(stack, models.denoiser(unet), batches, device.type, args.workers)
    prompts = models.embed(["", *(args.prompt or batches.sample_captions(SAMPLES))])

    def show() -> None:
        made, fps = sample_clips(trainer, models, prompts, args.guidance)
        name = f"{out.stem}.step-{trainer.step:06d}"
        report.contact_sheet(out.with_name(f"{name}.png"), made)
        report.video(out.with_name(f"{name}.mp4"), made, fps)

    def check() -> None:
        if config.check_clips and trainer.step % args.check_every == 0:
            found = check_sense(trainer)
            logger.info("step %d, %s", trainer.step, found)
            trainer.finished = 0 < args.stop_when_known <= found.least_known

    train(trainer, args, lambda path: write_layers(path, trainer, args), show, args.validate_every, check)


def prepare_clips(folder: Path, kind: TrainedModel, args: argparse.Namespace) -> cache.ClipCache:
    """The clips as latents and text embeddings, from a cache where it is still good."""
    encoder = kind.models.text_fingerprint()
    if not (folder / cache.INDEX).exists():
        folder = _cache_of_videos(folder, kind, args)
    captions = cache.read_index(folder)["captions"]
    preparing.add_captions(folder, reversed_captions(captions, kind.config.reversed))
    preparing.write_captions(folder, encoder, kind.models.embed)
    clips, channels = cache.open_cache(folder, encoder), kind.models.channels
    if clips.latents.shape[1] != channels:
        raise InvalidInputError(
            f"The clips in {folder} were prepared for a model of {clips.latents.shape[1]} channels, but "
            f"this one takes in {channels}; give the folder of videos they were made from."
        )
    return clips


def _cache_of_videos(folder: Path, kind: TrainedModel, args: argparse.Namespace) -> Path:
    config, size = kind.config, parse_size(args.size)
    kind.check_size(*size)
    videos = find_videos(folder, kind.needs_captions)
    needed = (config.num_frames - 1) * min(config.strides) + 1
    stamps = [(v.path.name, v.path.stat().st_mtime_ns, v.caption, v.start, v.seconds) for v in videos]
    encoder = kind.models.vae_fingerprint()
    source = f"{kind.cache_name}{encoder} {size} {args.fps:g} {needed} {stamps}"
    target = folder / "video_ldm_cache"
    if cache.is_current(target, source):
        return target

    def encoded() -> Iterator[tuple[Tensor, str, float]]:
        for number, (frames, video) in enumerate(long_enough(videos, args.fps, size, needed), start=1):
            yield kind.encode(frames), video.caption, args.fps
            logger.info("encoded %d of %d videos", number, len(videos))

    preparing.write_cache(target, encoded(), source)
    return target


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) from `512x320`; raises InvalidInputError unless both are multiples of 8."""
    width, _, height = text.partition("x")
    if (
        not (width.isdigit() and height.isdigit())
        or int(width) % 8
        or int(height) % 8
        or not int(width) * int(height)
    ):
        raise InvalidInputError(f"--size is {text!r}; give WIDTHxHEIGHT in multiples of 8, e.g. 512x320.")
    return int(width), int(height)


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


def write_layers(out: Path, trainer: LayersTrainer, args: argparse.Namespace) -> None:
    """The averaged layers in float16, with the settings of the run beside them."""
    with trainer.average.applied_to(trainer.stack):
        half = TemporalStack(trainer.stack.config, dtype=torch.float16)
        if trainer.stack.image_changes is not None:
            half.train_image(trainer.stack.image_changes.shapes)
        half.load_state_dict(trainer.stack.state_dict())
    notes = {
        "training": trainer.config.to_json(),
        "step": str(trainer.step),
        "image_model": Path(args.checkpoint).name,
    }
    save_stack(out, half, notes)


def sample_clips(
    trainer: LayersTrainer, models: host.Checkpoint, prompts: preparing.Embedded, guidance: float
) -> tuple[list[Tensor], float]:
    """One clip per prompt after the first, which is empty, from the averaged layers.

    Frames (f h w 3), their frame rate.
    """
    stack, config = trainer.stack, trainer.config
    model = (trainer.denoise, stack, trainer.batches.noise_levels)
    fps = float(trainer.batches.cache.fps[0]) / config.strides[0]
    texts, pooled = (None if part is None else part.to(trainer.device) for part in prompts)
    clips = []
    with (
        trainer.average.applied_to(stack),
        computing_in(config.precision, trainer.device),
    ):
        for number in range(1, len(texts)):
            generator = torch.Generator().manual_seed(number - 1)
            noise = torch.randn(trainer.batches.sample_shape, generator=generator).to(trainer.device)
            clip = Clip(num_frames=config.num_frames, fps=fps)
            conditions = trainer.batches.sample_conditions([number - 1] * 2).to(trainer.device)
            if pooled is not None:
                conditions = replace(conditions, pooled=pooled[[number, 0]])
            text, empty = texts[number : number + 1], texts[:1]
            latents = ddim(*model, noise, text, empty, clip, guidance=guidance, conditions=conditions)
            clips.append(models.decode(latents))
    return clips, fps
