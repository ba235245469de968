"""Train Stable Video Diffusion on a folder of videos, or SV3D on one of orbits.

What `python -m video_ldm.training video` does in the host.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...nodes.host.training.data.frames import open_frames
from ...nodes.host.training.video_model import checkpoint as host
from ...temporal.curation.folder import find_videos, metadata
from ...temporal.training import report
from ...temporal.training.data.frames import FrameStore
from ...temporal.training.memory.levels import LEVELS
from ...temporal.training.memory.recompute import Memory
from ...temporal.training.video_model.config import VideoModelConfig
from ...temporal.training.video_model.orbits import Orbit, check_rates, read_orbits, whole_turn
from ...temporal.video.reading import probe
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
    if models.kind == "SVD_img2vid":
        clips = host.told_clips(store, config, args.fps)
    else:
        config = replace(config, picture_noise=0.0)
        orbits = _orbits(models.kind, Path(args.clips), store, args.fps)
        clips = host.told_orbits(store, orbits, config.num_frames)
    memory = Memory(LEVELS[args.memory])
    with torch.inference_mode(False), torch.enable_grad():
        trainer = host.video_trainer(models, clips, config, memory.level)
        trained = sum(weight.numel() for weight in trainer.trained.values())
        logger.info("%.1f million weights train", trained / 1e6)

        def show() -> None:
            made = [host.sampled_frames(trainer, models, trainer.draw(0))]
            name = f"{out.stem}.step-{trainer.step:06d}"
            report.contact_sheet(out.with_name(f"{name}.png"), made)
            report.video(out.with_name(f"{name}.mp4"), made, args.fps)

        with memory.used_by(host.blocks_in(trainer.model)):
            train(trainer, args, partial(models.write, trainer=trainer), show, args.validate_every)


def _orbits(kind: str, folder: Path, store: FrameStore, fps: float) -> list[Orbit]:
    """Angles of all films; a model that is told none sees whole turns.

    Raises InvalidInputError for films of which not every frame was read.
    """
    counts = np.diff(store.offsets).tolist()
    paths = [video.path for video in find_videos(folder, needs_captions=False)]
    check_rates({path.name: probe(path).fps for path in paths}, fps)
    if kind == "SV3D_u":
        return [whole_turn(count) for count in counts]
    return read_orbits([path.name for path in paths], metadata(folder, paths), counts)
