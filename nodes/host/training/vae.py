"""The host's VAEs as the training of temporal decoders sees them.

Shapes: frames (f 3 h w) in 0..1; latents (f c h w).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.sd
import comfy.utils
import folder_paths
import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from ....temporal.decoder import DecoderConfig, TemporalDecoder, save_decoder
from ....temporal.decoder.streaming import AtSite
from ....temporal.errors import CheckpointFormatError
from ....temporal.training.data.frames import FrameStore
from ....temporal.training.decoder.config import DecoderTrainingConfig
from ....temporal.training.decoder.perceptual import FeatureDistance
from ....temporal.training.decoder.trainer import DecoderTrainer, frozen_for_training
from ..film.autoencoders import decoder_shape, latent_space, second_autoencoder
from ..film.vae import check_autoencoder
from ..layers.hooks import removed_at_exit

PARTS = ("decoder", "taesd_decoder")  # where the host's autoencoders keep their decoder


@dataclass(frozen=True)
class Trainable:
    """New or given temporal layers on a private copy of a VAE's autoencoder.

    All of it is float32 and made outside inference mode.
    """

    autoencoder: Any  # one of the host's
    decoder: TemporalDecoder

    @property
    def image(self) -> nn.ModuleDict:
        """The image decoder, by its name in the autoencoder."""
        return nn.ModuleDict(
            {name: getattr(self.autoencoder, name) for name in PARTS if hasattr(self.autoencoder, name)}
        )

    def run(self, latents: Tensor, at_site: AtSite) -> Tensor:
        """Frames of latents, not cut to 0..1, with `at_site` at every place of a temporal layer."""
        with ExitStack() as hooks:
            for site in self.decoder.sites:
                removed_at_exit(
                    hooks, self.autoencoder, site.path, lambda _b, _a, _k, out, s=site: at_site(s, out)
                )
            return (self.autoencoder.decode(latents) + 1) / 2

    def save(self, path: str | Path, trainer: DecoderTrainer) -> None:
        """Write the averaged decoder in float16; the image decoder's weights too where they were trained."""
        with trainer.average.applied_to(trainer.trained):
            half = TemporalDecoder(self.decoder.config, dtype=torch.float16)
            half.load_state_dict(self.decoder.state_dict())
            trained = trainer.trained["image"].state_dict() if "image" in trainer.trained else {}
            image = {name: value.to("cpu", torch.float16) for name, value in trained.items()}
        notes = {"training": trainer.config.to_json(), "step": str(trainer.step)}
        save_decoder(path, half, notes, image)


def load_vae(name: str) -> Any:
    """A VAE by path or by its name in the host's vae and checkpoint folders, alone or in a checkpoint.

    Raises CheckpointFormatError when there is no such file, or no VAE in it.
    """
    paths = [name if Path(name).is_file() else None]
    paths += [folder_paths.get_full_path(folder, name) for folder in ("vae", "checkpoints")]
    path = next(filter(None, paths), None)
    if path is None:
        raise CheckpointFormatError(
            f"There is no VAE or checkpoint {name}; give a path, or a name in ComfyUI's folders."
        )
    weights: Any = comfy.utils.load_torch_file(str(path), safe_load=True)
    inside = comfy.utils.state_dict_prefix_replace(
        dict(weights), {"first_stage_model.": ""}, filter_keys=True
    )
    vae = comfy.sd.VAE(sd=inside or weights)
    if vae.first_stage_model is None:
        raise CheckpointFormatError(
            f"{Path(path).name} holds no VAE that ComfyUI knows; give a VAE or a checkpoint."
        )
    return vae


def open_for_training(
    vae: Any, name: str, init: TemporalDecoder | None, config: DecoderTrainingConfig
) -> Trainable:
    """Temporal layers for a VAE, new ones unless `init` gives them.

    `name` is what the VAE is called where its latents are neither SD's nor SDXL's.

    Raises IncompatibleModelError for a VAE that is neither KL nor TAESD, or that `init` was not made for.
    """
    shape = decoder_shape(vae)
    if init is not None:
        check_autoencoder(vae, init)
    with torch.inference_mode(False), torch.enable_grad():
        autoencoder = second_autoencoder(vae, torch.float32).to(vae.device).eval()
        torch.manual_seed(config.seed)
        decoder = init or TemporalDecoder(DecoderConfig(shape, latent_space(vae) or name))
        trainable = Trainable(autoencoder, decoder.to(vae.device))
        frozen_for_training(autoencoder, apart=trainable.image if config.image_learning_rate else None)
        return trainable


def trainer(
    vae: Any,
    trainable: Trainable,
    store: FrameStore,
    config: DecoderTrainingConfig,
    features: FeatureDistance | None = None,
) -> DecoderTrainer:
    """A trainer on clips of frames. Call it and `run` it outside inference mode."""

    def draw(step: int) -> tuple[Tensor, Tensor]:
        """Latents and frames, always the same ones for a step.

        The noise on the latents is each frame's own.
        """
        rng = np.random.default_rng((config.seed, step))
        frames = store.draw(rng, config.num_frames, config.crop)
        latents = encode(vae, frames)
        noise = torch.from_numpy(rng.standard_normal(tuple(latents.shape), np.float32))
        latents = latents + config.latent_noise * latents.std() * noise
        return latents.to(vae.device), frames.to(vae.device)

    return DecoderTrainer(trainable.decoder, trainable.run, draw, config, trainable.image, features)


def encode(vae: Any, frames: Tensor) -> Tensor:
    """Latents of frames, as the VAE gives them, on the CPU and outside inference mode."""
    with torch.inference_mode():
        latents = vae.encode(rearrange(frames, "f c h w -> f h w c")).float().cpu()
    return latents.clone()
