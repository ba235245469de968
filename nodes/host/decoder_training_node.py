"""Training of a temporal decoder inside a graph: on images, with a progress bar, stopped by an interrupt.

Shapes: images (f h w 3) in 0..1.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import comfy.utils
import folder_paths
import numpy as np
import torch
from torch import Tensor

from ...temporal.errors import InvalidInputError
from ...temporal.training import checkpoint
from ...temporal.training.decoder import DecoderTrainer
from ...temporal.training.decoder_config import DecoderTrainingConfig
from ...temporal.training.frames import FrameStore
from .decoder_training import open_for_training, trainer
from .files import TEMPORAL_DECODERS, new_path
from .progress import TimeLeft
from .vae import open_temporal_decoder

logger = logging.getLogger(__name__)
SAVE_EVERY = 200


def train_on_images(
    vae: Any, images: Tensor, clip_length: int, name: str, config: DecoderTrainingConfig, resume: bool
) -> tuple[Any, str]:
    """Train temporal layers for a VAE: the VAE with them, and the name of their file in `models/temporal_decoders`.

    An interrupted run leaves its state behind; with the same settings, `resume` goes on from it. Nothing in the given VAE changes.
    """
    store = frame_store(images, clip_length)
    store.check(config.num_frames, config.crop)
    path = new_path(TEMPORAL_DECODERS, name)
    state = Path(folder_paths.get_output_directory()) / "video_ldm_training" / f"{path.stem}.state.pt"
    with torch.inference_mode(False), torch.enable_grad():
        trainable = open_for_training(vae, path.stem, None, config)
        training = trainer(vae, trainable, store, config)
        if resume and state.is_file():
            _go_on(training, checkpoint.load_state(state))
        progress, time_left = comfy.utils.ProgressBar(config.steps), TimeLeft()
        time_left.begin(training.step)

        def after_step(training: DecoderTrainer) -> None:
            if training.step % SAVE_EVERY == 0:
                checkpoint.save_state(state, training.state_dict())
            progress.update_absolute(training.step, config.steps)
            time_left(f"step {training.step} of {config.steps}", training.step, config.steps)
            mm.throw_exception_if_processing_interrupted()

        try:
            training.run(after_step=after_step)
        finally:
            if training.step:
                checkpoint.save_state(state, training.state_dict())
        trainable.save(path, training)
        state.unlink()
    return open_temporal_decoder(vae, path.name), path.name


def _go_on(training: DecoderTrainer, state: dict[str, Any]) -> None:
    """Take over a saved run of the same settings; others are left alone."""
    if state.get("config") == training.config.to_json():
        training.load_state_dict(state)
        logger.info("resumed at step %d", training.step)


def frame_store(images: Tensor, clip_length: int) -> FrameStore:
    """Images as clips of `clip_length` frames, one after the other; 0: they are one clip.

    Raises InvalidInputError when the images are no whole number of clips.
    """
    count, length = len(images), clip_length or len(images)
    if count % length:
        raise InvalidInputError(
            f"{count} images are no whole number of clips of {length} frames; connect a multiple of {length} images, or change "
            "clip_length."
        )
    pixels = (255 * images[..., :3].clamp(0, 1)).round().to(torch.uint8).cpu().numpy()
    return FrameStore(pixels, np.arange(0, count + 1, length))
