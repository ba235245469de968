"""The host's image model, text encoder and autoencoder as training sees them: one `Checkpoint`.

Shapes: text (captions m e); pooled (captions p); frames (f h w 3) float 0..1; latents (f c h w).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import comfy.model_base
import comfy.model_management as mm
import comfy.sd
import folder_paths
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from ....temporal.errors import CheckpointFormatError, IncompatibleModelError
from ....temporal.formats import Betas
from ....temporal.stack.plan import UNetShape
from ....temporal.training.data.enlarging import Enlarging
from ....temporal.training.data.preparing import Embedded
from ....temporal.training.loop import Denoise
from ....temporal.training.noise_levels import NoiseLevels
from ..layers.betas import AUTO, with_betas
from ..layers.shapes import unet_shape
from ..patcher import original_weights
from . import unet as host_unet

PROBE = "a red circle, 3 dogs & the sea at night (moving to the left)"


@dataclass(frozen=True)
class Checkpoint:
    """Model, text encoder and VAE that the host's loader makes of a checkpoint file."""

    model: Any
    text_encoder: Any
    vae: Any

    @property
    def shape(self) -> UNetShape:
        """Sizes of the UNet; raises IncompatibleModelError for another kind of image model."""
        return unet_shape(self.model)

    @property
    def channels(self) -> int:
        """Channels that the UNet takes in."""
        return self.model.model.model_config.unet_config["in_channels"]

    @property
    def enlarges(self) -> bool:
        """True for the SD x4 upscaler, which takes in small frames beside noisy latents."""
        return isinstance(self.model.model, comfy.model_base.SD_X4Upscaler)

    @property
    def _vector(self) -> host_unet.Vector | None:
        """Function of pooled text and size in pixels that gives an SDXL UNet its vector, else None."""
        base = self.model.model
        if not base.adm_channels:
            return None
        return lambda pooled, width, height: base.encode_adm(pooled_output=pooled, width=width, height=height)

    def noise_levels(self) -> NoiseLevels:
        """Noise levels and prediction target.

        Raises IncompatibleModelError for image models whose conditioning training does not make.
        """
        base = self.model.model
        kind = base.model_type.name
        known = not base.adm_channels or isinstance(base, comfy.model_base.SDXL)
        if kind not in ("EPS", "V_PREDICTION") or not known:
            raise IncompatibleModelError(
                "Temporal layers train on SD 1.x, SD 2.x and SDXL image models and on the SD x4 upscaler; "
                f"this one is a {type(base).__name__} ({kind}). Give the checkpoint of such a model."
            )
        config = base.model_config.unet_config
        if config["in_channels"] != config["out_channels"] and not self.enlarges:
            raise IncompatibleModelError(
                f"The image model takes in {config['in_channels']} channels instead of "
                f"{config['out_channels']}, as inpainting models do; give the plain checkpoint it was made "
                "from, on which layers for both can be trained."
            )
        sigmas = self.model.get_model_object("model_sampling").sigmas.float().cpu()
        return NoiseLevels(1 / (1 + sigmas**2), "eps" if kind == "EPS" else "v")

    def on_betas(self, betas: Betas) -> Checkpoint:
        """The checkpoint with an image model on other betas; this one stays as it is."""
        return replace(self, model=with_betas(self.model, AUTO, betas))

    def enlarging(self, side: int) -> Enlarging:
        """Patches of small frames with the noise augmentation of the SD x4 upscaler."""
        augmentor = self.model.model.noise_augmentor
        return Enlarging(side, NoiseLevels(augmentor.alphas_cumprod.float().cpu()), augmentor.max_noise_level)

    def frozen_unet(self, dtype: torch.dtype | None = None) -> Any:
        """The UNet on its device, frozen, with weights that autograd accepts.

        Optionally in another precision.
        """
        return host_unet.frozen_unet(self.model, dtype)

    def denoiser(self, unet: Any, kept: ExitStack | None = None) -> Denoise:
        """The frozen UNet with temporal layers, as a function of noisy latents.

        In training the layers stay in it until `kept` is closed.
        """
        return host_unet.denoiser(unet, self._vector, kept)

    def embed(self, captions: list[str]) -> Embedded:
        """Text (captions m e), and pooled text (captions p) for an image model that takes it.

        A long caption is cut to the part that fits in one.
        """
        text, pooled = self._embed(captions)
        return text, None if self._vector is None else pooled

    @torch.inference_mode()
    def _embed(self, captions: list[str]) -> tuple[Tensor, Tensor]:
        encoder = self.text_encoder
        rows = [
            encoder.encode_from_tokens(encoder.tokenize(text), return_pooled=True) for text in ("", *captions)
        ]
        tokens = [row.float().cpu()[:, : rows[0][0].shape[1]] for row, _ in rows[1:]]
        pooled = [row.float().cpu() for _, row in rows[1:]]
        return torch.cat(tokens).clone(), torch.cat(pooled).clone()

    @torch.inference_mode()
    def encode(self, frames: Tensor) -> Tensor:
        """Latents of frames, scaled as the UNet sees them."""
        return self.model.model.process_latent_in(self.vae.encode(frames[..., :3])).float().cpu().clone()

    def encode_both(self, frames: Tensor) -> Tensor:
        """Latents of large frames, and in three further channels the small frames, in -1..1.

        The small ones have the size of the latents.
        """
        latents = self.encode(frames)
        pixels = rearrange(frames[..., :3], "f h w c -> f c h w")
        small = functional.interpolate(pixels, size=latents.shape[-2:], mode="bicubic", antialias=True)
        return torch.cat([latents, 2 * small.clamp(0, 1) - 1], dim=1)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Frames of latents that are scaled as the UNet sees them."""
        return self.vae.decode(self.model.model.process_latent_out(latents.float())).cpu()

    def text_fingerprint(self) -> str:
        """Hash of the text encoder's embedding of PROBE.

        Hashing weights fails: some are created at load and unused.
        """
        text, pooled = self._embed([PROBE])
        return _fingerprint({"text": text, "pooled": pooled})

    def vae_fingerprint(self) -> str:
        """Hash of the VAE's weights."""
        return _fingerprint(original_weights(self.vae.patcher))


def load_checkpoint(name: str) -> Checkpoint:
    """A checkpoint by path, or by its name in the host's checkpoint folders.

    Raises CheckpointFormatError when there is no such file, or the host does not know what it is.
    """
    path = name if Path(name).is_file() else folder_paths.get_full_path("checkpoints", name)
    if path is None:
        known = ", ".join(folder_paths.get_filename_list("checkpoints")[:5]) or "no files"
        raise CheckpointFormatError(f"There is no checkpoint {name}; the host's folders hold {known}.")
    try:
        model, text_encoder, vae, _ = comfy.sd.load_checkpoint_guess_config(str(path))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise CheckpointFormatError(
            f"The host cannot load the checkpoint {name} ({reason}); is a custom node missing that teaches "
            "it this model?"
        ) from None
    if model is None or text_encoder is None or vae is None:
        raise CheckpointFormatError(
            f"The checkpoint {name} must hold an image model, a text encoder and a VAE; give a complete one."
        )
    return Checkpoint(model, text_encoder, vae)


def training_device() -> torch.device:
    """The device that the host computes on: the CPU where it was started with it."""
    return mm.get_torch_device()


def _fingerprint(weights: Mapping[str, Tensor]) -> str:
    """Short hash of named tensors, by which a cache is told from one of other weights."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(f"{name}{tuple(value.shape)}{value.cpu().double().sum().item():.6e}".encode())
    return digest.hexdigest()[:16]
