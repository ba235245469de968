"""A temporal decoder in the host's VAE: a VAE like any other, whose decode looks along time."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import comfy.model_management as mm
import comfy.ops
import comfy.sd
from comfy.ldm.modules.temporal_ae import VideoDecoder
from torch import Tensor, nn

from ....temporal.decoder import TemporalDecoder, decoder_of, image_weights, report_decoder
from ....temporal.decoder.svd import VideoDecoderFile, video_decoder
from ....temporal.errors import IncompatibleModelError, InvalidInputError
from ....temporal.weights.files import WeightsFile, assign_weights, read_weights
from ..files import TEMPORAL_DECODERS, full_path
from ..patcher import new_patcher
from .autoencoders import DECODERS, check_latent_space, second_autoencoder, shapes_in
from .frame_stream import PREVIEW_FPS, DecodeSettings, collect, latent_stream
from .temporal_autoencoders import ReferenceAutoencoder, TemporalAutoencoder, VideoAutoencoder

logger = logging.getLogger(__name__)

# Activations of a decode with temporal layers over the same decode without.
MEMORY_FACTOR = 1.5


class TemporalVAE(comfy.sd.VAE):
    """The host's VAE with a decoder that looks along time.

    It decodes as Temporal VAE Decode does: with little memory the host would cut the clip into pieces that
    know nothing of each other.
    """

    report = ""

    def __init__(self, vae: Any) -> None:
        vars(self).update(vars(vae))  # the handle alone: what it loads is replaced

    def decode(self, samples_in: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Frames (f h w 3) of one clip's latents (f c h w).

        Raises InvalidInputError when memory does not suffice.
        """
        clip = latent_stream({"samples": samples_in}, self, PREVIEW_FPS, DecodeSettings())
        return collect(clip).to(self.output_device)

    def decode_tiled(self, *args: Any, **kwargs: Any) -> Tensor:
        """Raise InvalidInputError: the host would decode every frame for itself."""
        raise InvalidInputError(
            "VAE Decode (Tiled) decodes frame by frame, but this VAE has a temporal decoder, which sees "
            "neighbours. Use Temporal VAE Decode; where memory is short, with a lower chunk_length."
        )


def open_temporal_decoder(vae: Any, name: str) -> Any:
    """VAE that decodes through a file in `models/temporal_decoders`, by `with_temporal_decoder`.

    Its report says what the file holds, and is also logged.
    """
    path = full_path(TEMPORAL_DECODERS, name)
    file = read_weights(path)
    temporal = with_temporal_decoder(vae, file)
    temporal.patcher.cached_patcher_init = (temporal_decoder_again, (vae, path))
    temporal.report = report_decoder(file) or ""
    logger.info("%s: %s", name, temporal.report)
    return temporal


def temporal_decoder_again(vae: Any, path: str, disable_dynamic: bool = False) -> Any:
    """One more patcher, with weights of its own, of what a file of a temporal decoder makes of a VAE."""
    return with_temporal_decoder(vae, read_weights(path), dynamic=not disable_dynamic).patcher


def with_temporal_decoder(vae: Any, file: WeightsFile, dynamic: bool = True) -> Any:
    """VAE that decodes through a temporal decoder; the given VAE stays as it was.

    Raises CheckpointFormatError for a file that is none, IncompatibleModelError for one that was made for
    another kind of autoencoder or other latents.
    """
    video = video_decoder(file)
    if video is not None:
        return _vae_of(vae, _with_video_decoder(vae, video), dynamic)
    decoder = decoder_of(file, ops=comfy.ops.manual_cast)
    check_autoencoder(vae, decoder)
    check_latent_space(vae, decoder.config.base)
    image = image_weights(file)
    check_weights(vae.first_stage_model, image, file.path.name)
    autoencoder = TemporalAutoencoder(second_autoencoder(vae, vae.vae_dtype, image), decoder)
    return _vae_of(vae, autoencoder, dynamic)


def _with_video_decoder(vae: Any, file: VideoDecoderFile) -> nn.Module:
    """An autoencoder with the decoder of Stable Video Diffusion, for latents of any SD 1.x and 2.x model."""
    ratio = 2 ** (len(file.shape.channel_mult) - 1)
    if (file.latent_channels, ratio) != (vae.latent_channels, vae.upscale_ratio):
        raise IncompatibleModelError(
            f"{file.name} decodes latents of {file.latent_channels} channels to frames {ratio} times their "
            f"size, but those of this VAE have {vae.latent_channels} channels and need {vae.upscale_ratio} "
            "times. Connect the VAE of an SD 1.x or 2.x checkpoint."
        )
    check_latent_space(vae, "SD")
    if file.references:
        return ReferenceAutoencoder(file, {"double_z": True, **_sizes(file)}, vae.vae_dtype)
    decoder = VideoDecoder(**_sizes(file), video_kernel_size=[3, 1, 1], alpha=0.0)
    assign_weights(decoder, file.tensors, file.name, shapes_in(decoder), vae.vae_dtype)
    autoencoder = second_autoencoder(vae, vae.vae_dtype)
    for unused in DECODERS:
        if hasattr(autoencoder, unused):
            setattr(autoencoder, unused, nn.Identity())
    return VideoAutoencoder(autoencoder, decoder)


def _sizes(file: VideoDecoderFile) -> dict[str, Any]:
    """The host's words for the sizes of a decoder."""
    shape = file.shape
    return {
        "ch": shape.channels,
        "ch_mult": list(shape.channel_mult),
        "num_res_blocks": shape.num_res_blocks,
        "z_channels": file.latent_channels,
        "in_channels": 3,
        "out_ch": 3,
        "resolution": 256,
        "attn_resolutions": [],
        "dropout": 0.0,
    }


def _vae_of(vae: Any, autoencoder: nn.Module, dynamic: bool) -> Any:
    """A VAE like the given one, with another autoencoder, whose weights are its own.

    Two patchers must not move the same ones.
    """
    offload = mm.vae_offload_device()
    temporal = TemporalVAE(vae)
    model = autoencoder.to(offload).eval()
    temporal.first_stage_model = model  # pyright: ignore[reportAttributeAccessIssue] any autoencoder will do
    temporal.patcher = new_patcher(model, offload, vae.device, dynamic=dynamic)
    temporal.size = None
    temporal.memory_used_decode = lambda shape, dtype: MEMORY_FACTOR * vae.memory_used_decode(shape, dtype)
    return temporal


def check_autoencoder(vae: Any, decoder: TemporalDecoder) -> None:
    """Refuse a temporal decoder whose places the VAE does not have, or has with another width."""
    places = dict(vae.first_stage_model.named_modules())
    for site in decoder.sites:
        block = places.get(site.path, nn.Identity())
        widths = {part.out_channels for part in block.modules() if isinstance(part, nn.Conv2d)}
        if site.channels not in widths:
            raise IncompatibleModelError(
                f"This temporal decoder was made for the {decoder.config.decoder.kind.upper()} autoencoder "
                f"of {decoder.config.base}, and the VAE has no block of {site.channels} channels at "
                f"{site.path}. Connect the VAE it was made for, or load another temporal decoder."
            )


def check_weights(autoencoder: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Refuse weights for the image decoder that it has no place for."""
    own = dict(autoencoder.named_parameters())
    for key, value in weights.items():
        if key not in own or own[key].shape != value.shape:
            raise IncompatibleModelError(
                f"{name} brings weights of the image decoder, and the VAE has no {key} of shape "
                f"{tuple(value.shape)}. Connect the VAE it was made for, or load another temporal decoder."
            )
