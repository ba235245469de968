"""A temporal decoder in the host's VAE: a VAE like any other, whose decode looks along time."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

import comfy.model_management as mm
import comfy.ops
from comfy.ldm.modules.temporal_ae import VideoDecoder
from torch import Tensor, nn

from ....temporal.decoder import TemporalDecoder, decoder_of, image_weights
from ....temporal.decoder.streaming import AtSite
from ....temporal.decoder.svd import VideoDecoderFile, video_decoder
from ....temporal.errors import IncompatibleModelError
from ....temporal.weights.files import WeightsFile, assign_weights, read_weights
from ..files import TEMPORAL_DECODERS, full_path
from ..layers.hooks import removed_at_exit
from ..patcher import new_patcher
from .latent_space import check_latent_space
from .reference_decoder import ReferenceAutoencoder

# Activations of a decode with temporal layers over the same decode without.
MEMORY_FACTOR = 1.5


class TemporalAutoencoder(nn.Module):
    """The host's autoencoder with temporal layers in its decoder, for the length of each decode."""

    def __init__(self, autoencoder: nn.Module, decoder: TemporalDecoder):
        super().__init__()
        self.autoencoder = autoencoder
        self.decoder = decoder

    def encode(self, pixels: Tensor, **options: Any) -> Tensor:
        """As the image autoencoder: (f 3 h w) to (f c h/8 w/8)."""
        return self.autoencoder.encode(pixels, **options)

    def decode(self, latent: Tensor, **options: Any) -> Tensor:
        """Frames (f 3 h w) of one clip's latents (f c h w)."""
        return self.run(latent, self.decoder, **options)

    def run(self, latent: Tensor, at_site: AtSite, **options: Any) -> Tensor:
        """Decode with the image decoder, what comes out of its residual blocks replaced by `at_site(site, hidden)`."""
        with ExitStack() as hooks:
            for site in self.decoder.sites:
                removed_at_exit(
                    hooks, self.autoencoder, site.path, lambda _b, _a, _k, out, s=site: at_site(s, out)
                )
            return self.autoencoder.decode(latent, **options)


class VideoAutoencoder(nn.Module):
    """The encoder of one of the host's autoencoders with the decoder of Stable Video Diffusion."""

    def __init__(self, autoencoder: nn.Module, decoder: VideoDecoder):
        super().__init__()
        self.autoencoder = autoencoder
        self.decoder = decoder

    def encode(self, pixels: Tensor, **options: Any) -> Tensor:
        """As the image autoencoder: (f 3 h w) to (f c h/8 w/8)."""
        return self.autoencoder.encode(pixels, **options)

    def decode(self, latent: Tensor, **_options: Any) -> Tensor:
        """Frames (f 3 h w) of one clip's latents (f c h w), which need no convolution before the decoder."""
        return self.decoder(latent)


def open_temporal_decoder(vae: Any, name: str) -> Any:
    """VAE that decodes through a file in `models/temporal_decoders`, by `with_temporal_decoder`."""
    return with_temporal_decoder(vae, read_weights(full_path(TEMPORAL_DECODERS, name)))


def with_temporal_decoder(vae: Any, file: WeightsFile) -> Any:
    """VAE that decodes through a temporal decoder; the given VAE stays as it was.

    Raises CheckpointFormatError for a file that is none, IncompatibleModelError for one that was made for another kind
    of autoencoder or other latents.
    """
    video = video_decoder(file)
    if video is not None:
        return with_video_decoder(vae, video)
    decoder = decoder_of(file, ops=comfy.ops.manual_cast)
    check_autoencoder(vae, decoder)
    check_latent_space(vae, decoder.config.base)
    image = image_weights(file)
    check_weights(vae.first_stage_model, image, file.path.name)

    def around(autoencoder: nn.Module) -> TemporalAutoencoder:
        autoencoder.load_state_dict(image, strict=False)
        return TemporalAutoencoder(autoencoder, decoder)

    return _copy_around(vae, around)


def with_video_decoder(vae: Any, file: VideoDecoderFile) -> Any:
    """VAE whose decoder is that of Stable Video Diffusion, for the latents of any SD 1.x and 2.x model."""
    ratio = 2 ** (len(file.shape.channel_mult) - 1)
    if (file.latent_channels, ratio) != (vae.latent_channels, vae.upscale_ratio):
        raise IncompatibleModelError(
            f"{file.name} decodes latents of {file.latent_channels} channels to frames {ratio} times their size, but those "
            f"of this VAE have {vae.latent_channels} channels and need {vae.upscale_ratio} times. Connect the VAE of an SD "
            "1.x or 2.x checkpoint."
        )
    check_latent_space(vae, "SD")
    if file.references:
        autoencoder = ReferenceAutoencoder(file, {"double_z": True, **_sizes(file)}, vae.vae_dtype)
        return _vae_of(vae, autoencoder)
    decoder = VideoDecoder(**_sizes(file), video_kernel_size=[3, 1, 1], alpha=0.0)
    assign_weights(decoder, file.tensors, file.name, vae.vae_dtype)

    def around(autoencoder: nn.Module) -> VideoAutoencoder:
        for unused in ("decoder", "taesd_decoder", "post_quant_conv"):
            if hasattr(autoencoder, unused):
                setattr(autoencoder, unused, nn.Identity())
        return VideoAutoencoder(autoencoder, decoder)

    return _copy_around(vae, around)


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


def _copy_around(vae: Any, around: Callable[[nn.Module], nn.Module]) -> Any:
    """A VAE like the given one, with another module around a copy of its autoencoder.

    The copy has weights of its own: two patchers must not move the same ones.
    """
    return _vae_of(vae, around(copy.deepcopy(vae.first_stage_model)))


def _vae_of(vae: Any, autoencoder: nn.Module) -> Any:
    """A VAE like the given one, with another autoencoder."""
    offload = mm.vae_offload_device()
    temporal = copy.copy(vae)
    temporal.first_stage_model = autoencoder.to(offload).eval()
    temporal.patcher = new_patcher(temporal.first_stage_model, offload, vae.device)
    temporal.size = None
    temporal.memory_used_decode = lambda shape, dtype: MEMORY_FACTOR * vae.memory_used_decode(shape, dtype)
    return temporal


def check_autoencoder(vae: Any, decoder: TemporalDecoder) -> None:
    """Refuse a temporal decoder whose places the VAE does not have, or has with another width."""
    weights = vae.first_stage_model.state_dict()
    for site in decoder.sites:
        widths = {w.shape[0] for key, w in weights.items() if key.startswith(f"{site.path}.") and w.ndim == 4}
        if site.channels not in widths:
            raise IncompatibleModelError(
                f"This temporal decoder was made for the {decoder.config.decoder.kind.upper()} autoencoder of "
                f"{decoder.config.base}, and the VAE has no block of {site.channels} channels at {site.path}. Connect "
                "the VAE it was made for, or load another temporal decoder."
            )


def check_weights(autoencoder: nn.Module, weights: Mapping[str, Tensor], name: str) -> None:
    """Refuse weights for the image decoder that it has no place for."""
    own = autoencoder.state_dict()
    for key, value in weights.items():
        if key not in own or own[key].shape != value.shape:
            raise IncompatibleModelError(
                f"{name} brings weights of the image decoder, and the VAE has no {key} of shape {tuple(value.shape)}. Connect "
                "the VAE it was made for, or load another temporal decoder."
            )
