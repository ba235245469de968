"""Training of a temporal decoder inside a graph, on images.

Shapes: images (f h w 3) in 0..1.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ....temporal.training.decoder.config import DecoderTrainingConfig
from ..files import TEMPORAL_DECODERS, new_path
from ..film.vae import open_temporal_decoder
from .run import frame_store, run_to_file, state_path
from .vae import open_for_training, trainer


def train_decoder_on_images(
    vae: Any, images: Tensor, clip_length: int, name: str, config: DecoderTrainingConfig, resume: bool
) -> tuple[Any, str, str]:
    """Train temporal layers for a VAE.

    The VAE with them, the name of their file in `models/temporal_decoders`, and a line about it.

    A stopped run keeps what it has learned; with the same settings, `resume` goes on from there. Nothing in
    the given VAE changes.
    """
    store = frame_store(images, clip_length)
    store.check(config.num_frames, config.crop)
    path = new_path(TEMPORAL_DECODERS, name)
    state = state_path(path.stem)
    with torch.inference_mode(False), torch.enable_grad():
        trainable = open_for_training(vae, path.stem, None, config)
        training = trainer(vae, trainable, store, config)
        save, settings = (lambda to: trainable.save(to, training)), config.to_json()
        made, line = run_to_file(training, state, settings, resume, path, save)
    return open_temporal_decoder(vae, made.name), made.name, line
