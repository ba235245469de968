"""Train Stable Video Diffusion on a folder of videos.

What `python -m video_ldm.training video` does in the host.
"""

from __future__ import annotations

import argparse
import logging
from functools import partial
from pathlib import Path

import torch

from ...nodes.host.training.data.frames import open_frames
from ...nodes.host.training.video_model import checkpoint as host
from ...temporal.training import report
from ...temporal.training.memory.levels import LEVELS
from ...temporal.training.memory.recompute import Memory
from ...temporal.training.video_model.config import VideoModelConfig
from ..options import parse_size
from ..results import check_out, train

logger = logging.getLogger(__name__)


def run(args: argparse.Namespace, config: VideoModelConfig) -> None:
    """Read the clips, train, and write the checkpoint with the averaged weights.

    Raises VideoLDMError for what the user can change.
    """
    out = check_out(args)
    size = parse_size(args.size)
    if args.threads:
        torch.set_num_threads(args.threads)
    models = host.load_video_checkpoint(args.checkpoint)
    store = open_frames(Path(args.clips), args.fps, size)
    store.check(config.num_frames)
    logger.info("%d videos, %d frames", len(store.offsets) - 1, len(store.frames))
    memory = Memory(LEVELS[args.memory])
    with torch.inference_mode(False), torch.enable_grad():
        trainer = host.video_trainer(models, store, config, args.fps, memory.level)
        trained = sum(weight.numel() for weight in trainer.trained.values())
        logger.info("%.1f million weights train", trained / 1e6)

        def show() -> None:
            made = [host.sampled_frames(trainer, models, trainer.draw(0))]
            name = f"{out.stem}.step-{trainer.step:06d}"
            report.contact_sheet(out.with_name(f"{name}.png"), made)
            report.video(out.with_name(f"{name}.mp4"), made, args.fps)

        with memory.used_by(host.blocks_in(trainer.model)):
            train(trainer, args, partial(models.write, trainer=trainer), show, args.validate_every)
