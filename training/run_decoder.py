"""Train a temporal decoder on a folder of videos: what `python -m video_ldm.training decoder` does in the host."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from ..nodes.host.training import vae as host
from ..temporal.decoder import load_decoder
from ..temporal.training import checkpoint, report
from ..temporal.training.decoder.config import DecoderTrainingConfig
from ..temporal.training.decoder.perceptual import vgg_features
from ..temporal.training.decoder.trainer import DecoderTrainer
from .frames import open_frames
from .run_layers import parse_size

logger = logging.getLogger(__name__)


def run(args: argparse.Namespace, config: DecoderTrainingConfig) -> None:
    """Read the clips, train, and write the averaged decoder; raises VideoLDMError for what the user can change."""
    out, size = Path(args.out), parse_size(args.size)
    if args.threads:
        torch.set_num_threads(args.threads)
    vae = host.load_vae(args.vae)
    store = open_frames(Path(args.clips), args.fps, size)
    store.check(config.num_frames, config.crop)
    logger.info("%d videos, %d frames", len(store.offsets) - 1, len(store.frames))
    features = vgg_features(args.features) if args.features else None
    init = load_decoder(args.init, dtype=torch.float32) if args.init else None
    trainable = host.open_for_training(vae, Path(args.vae).stem, init, config)
    trainer = host.trainer(vae, trainable, store, config, features)
    state = out.with_suffix(".state.pt")
    if args.resume:
        trainer.load_state_dict(checkpoint.load_state(state))
        logger.info("resumed at step %d", trainer.step)

    def after_step(trainer: DecoderTrainer) -> None:
        if trainer.step == config.steps or trainer.step % args.save_every == 0:
            checkpoint.save_state(state, trainer.state_dict())
            trainable.save(out, trainer)
            report.loss_curve(out.with_suffix(".loss.png"), trainer.losses)

    trainer.run(after_step=after_step)
    logger.info("wrote %s", out)
