"""Train a temporal decoder on a folder of videos.

What `python -m video_ldm.training decoder` does in the host.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from ...nodes.host.training import vae as host
from ...nodes.host.training.data.frames import open_frames
from ...temporal.decoder import load_decoder
from ...temporal.training.decoder.config import DecoderTrainingConfig
from ...temporal.training.decoder.perceptual import vgg_features
from ..options import parse_size
from ..results import check_out, train

logger = logging.getLogger(__name__)


def run(args: argparse.Namespace, config: DecoderTrainingConfig) -> None:
    """Read the clips, train, and write the averaged decoder.

    Raises VideoLDMError for what the user can change.
    """
    check_out(args)
    size = parse_size(args.size)
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
    train(trainer, args, lambda path: trainable.save(path, trainer), lambda: None, show_every=0)
