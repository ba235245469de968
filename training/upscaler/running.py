"""Train a video upscaler on a folder of videos: what `python -m video_ldm.training upscaler` does.

Shapes: f frames; given (f 3 h w), large (f 3 H W), both in 0..1.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from ...nodes.host.training.data.frames import open_frames
from ...nodes.host.training.models import training_device
from ...temporal.errors import InvalidInputError
from ...temporal.training import report
from ...temporal.training.data.patches import NO_STEP, Patches
from ...temporal.training.upscaler import UpscalerTrainer, UpscalerTrainingConfig, write_upscaler
from ...temporal.upscaler import UpscalerConfig, UpscaleSettings, VideoUpscaler, load_upscaler, upscale
from ...temporal.upscaler.model import enlarge
from ..results import check_out, train

logger = logging.getLogger(__name__)
SHOWN = 3  # frames in a picture


def run(args: argparse.Namespace, config: UpscalerTrainingConfig) -> None:
    """Read the clips, train, and write the averaged upscaler.

    Raises VideoLDMError for what the user can change.
    """
    out = check_out(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    init = load_upscaler(args.init, dtype=torch.float32) if args.init else None
    scale = init.config.scale if init is not None else args.scale
    store = open_frames(Path(args.clips), args.fps, _size(args, scale))
    patches = Patches(store, args.batch, config.num_frames, args.side, scale, config.seed)
    shape = init.config if init is not None else config_of_new(args, config)
    patches.check(shape)
    logger.info("%d videos, %d frames", len(store.offsets) - 1, len(store.frames))
    torch.manual_seed(config.seed)
    upscaler = init if init is not None else VideoUpscaler(patches.measured(shape))
    device = training_device()
    trainer = UpscalerTrainer(upscaler.to(device), patches, config, device.type)
    shown = patches.some(NO_STEP + 1, 1)

    def pictures() -> None:
        show(out.with_name(f"{out.stem}.step-{trainer.step:06d}.png"), trainer, *shown)

    train(trainer, args, lambda path: write_upscaler(path, trainer, {}), pictures, args.save_every)


def config_of_new(args: argparse.Namespace, config: UpscalerTrainingConfig) -> UpscalerConfig:
    """Shape of a new upscaler, before its clips are measured."""
    return UpscalerConfig(
        scale=args.scale,
        patch=args.patch,
        channels=args.channels,
        channel_mult=tuple(int(part) for part in args.channel_mult.split(",")),
        num_res_blocks=args.res_blocks,
        heads=args.heads,
        max_frames=config.num_frames,
        residual_std=1.0,
        max_noise_level=args.max_noise_level,
    )


@torch.no_grad()
def show(path: Path, trainer: UpscalerTrainer, given: Tensor, large: Tensor) -> None:
    """A picture of a patch: given, bicubic, enlarged by the averaged upscaler, true.

    Its first frames below each other.
    """
    upscaler, config = trainer.upscaler, trainer.upscaler.config

    def predict(noisy: Tensor, seen: Tensor, time: Tensor, level: Tensor, clip: object) -> Tensor:
        moved = (x.to(trainer.device) for x in (noisy, seen, time, level))
        return upscaler(*moved, clip).cpu()

    with trainer.average.applied_to(upscaler):
        frames = list(
            upscale(predict, config, [rearrange(given, "f c h w -> f h w c")], UpscaleSettings(overlap=0))
        )
    squares = functional.interpolate(given, scale_factor=float(config.scale), mode="nearest")
    others = (rearrange(x, "f c h w -> f h w c") for x in (squares, enlarge(given, config.scale), large))
    near, soft, true = others
    columns = (near, soft, torch.cat(frames), true)
    report.contact_sheet(
        path, [torch.stack([column[frame] for column in columns]) for frame in range(SHOWN)][: len(given)]
    )


def _size(args: argparse.Namespace, scale: int) -> tuple[int, int]:
    """(width, height) of --size. Raises InvalidInputError when a patch does not fit in it."""
    width, _, height = args.size.partition("x")
    if not (width.isdigit() and height.isdigit()) or min(int(width), int(height)) < args.side * scale:
        raise InvalidInputError(
            f"--size is {args.size!r}, but a patch of --side {args.side} is {args.side * scale} pixels "
            "when enlarged; give WIDTHxHEIGHT of at least that, e.g. 1024x576, or a smaller --side."
        )
    return int(width), int(height)
