"""Facts on the autoencoder of a VAE.

Its sizes, the image models whose latents it makes, and a second one like it.

A second one is built anew from the sizes. What the host has loaded is never copied as it is: its modules
carry memory that belongs to one patcher alone.

Shapes: k colours, c channels.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any, cast

import comfy.latent_formats
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL, AutoencodingEngine
from comfy.ldm.modules.diffusionmodules.model import Decoder, Encoder
from comfy.ldm.modules.temporal_ae import VideoDecoder
from comfy.taesd.taesd import TAESD as HostTAESD
from torch import Tensor, nn

from ....temporal.decoder import TAESD, DecoderShape
from ....temporal.errors import IncompatibleModelError
from ..patcher import original_weights

DECODERS = ("decoder", "taesd_decoder", "post_quant_conv")  # where the host's autoencoders keep what decodes
FORMATS = {"SD": comfy.latent_formats.SD15, "SDXL": comfy.latent_formats.SDXL}
CERTAIN = 2.0  # how many times better than the other space one must fit
REGULARIZER = "comfy.ldm.models.autoencoder.DiagonalGaussianRegularizer"
OTHER_KIND = (
    "Temporal decoders go with KL and TAESD autoencoders; this VAE is a {kind}. Load the VAE of "
    "an SD or SDXL checkpoint."
)


def second_autoencoder(
    vae: Any, dtype: torch.dtype, changed: Mapping[str, Tensor] | None = None
) -> nn.Module:
    """An autoencoder like that of a VAE, on the CPU and in memory of its own.

    It has the weights of the VAE, or the `changed` ones in their place.

    Raises IncompatibleModelError for an autoencoder that is neither KL nor TAESD.
    """
    given = vae.first_stage_model
    made = _empty(given)
    for part in DECODERS:
        if isinstance(getattr(given, part, None), nn.Identity):
            setattr(made, part, nn.Identity())
    weights = {**original_weights(vae.patcher), **(changed or {})}
    if shapes_in(made) != {name: weight.shape for name, weight in weights.items()}:
        raise IncompatibleModelError(OTHER_KIND.format(kind=f"changed {type(given).__name__}"))
    made = made.to("cpu", dtype)
    made.load_state_dict(weights)
    return made


def shapes_in(module: nn.Module) -> dict[str, torch.Size]:
    """Names and shapes of the weights of a new autoencoder of the host.

    Only convolutions and norms are counted, whose shapes are always known.
    """
    return {name: weight.shape for name, weight in module.state_dict().items()}


def decoder_shape(vae: Any) -> DecoderShape:
    """Sizes of the image decoder of a VAE. Raises IncompatibleModelError where it is neither KL nor TAESD."""
    given = vae.first_stage_model
    if isinstance(given, HostTAESD):
        return TAESD
    if not isinstance(given, AutoencodingEngine) or type(given.decoder) is not Decoder or not _is_flat(given):
        raise IncompatibleModelError(OTHER_KIND.format(kind=type(given).__name__))
    sizes = _decoder_sizes(given.decoder)
    return DecoderShape("kl", sizes["ch"], tuple(sizes["ch_mult"]), sizes["num_res_blocks"])


@torch.inference_mode()
def latent_space(vae: Any) -> str | None:
    """ "SD" or "SDXL", found by encoding plain colours; None when neither of them fits clearly better.

    The host knows for each space how latents look as colours (it draws previews so); the right one gives the
    colours back.
    """
    if vae.latent_channels != 4 or vae.latent_dim != 2:
        return None
    colours = torch.tensor(list(product((0.25, 0.75), repeat=3)))
    pictures = colours[:, None, None].expand(-1, 64, 64, -1)
    latents = vae.encode(pictures).float().cpu().mean(dim=(2, 3))
    errors = {name: _error(latents, 2 * colours - 1, space()) for name, space in FORMATS.items()}
    best, other = sorted(errors, key=errors.__getitem__)
    return best if CERTAIN * errors[best] < errors[other] else None


def check_latent_space(vae: Any, base: str) -> None:
    """Refuse a decoder for the latents of `base` ("SD", "SD 1.x", "SDXL", ...) where the VAE makes others."""
    wanted = "SDXL" if base.startswith("SDXL") else "SD" if base.startswith("SD") else None
    made = latent_space(vae)
    if wanted is not None and made is not None and made != wanted:
        names = {"SD": "SD 1.x and 2.x", "SDXL": "SDXL"}
        raise IncompatibleModelError(
            f"This temporal decoder reads latents of {names[wanted]}, but the VAE makes those of "
            f"{names[made]}. Connect the VAE of a {names[wanted]} checkpoint, or load a temporal decoder "
            f"made for {names[made]}."
        )


def _empty(given: nn.Module) -> nn.Module:
    """An autoencoder of the same kind and sizes; its decoder, where it was taken out, is as the encoder."""
    if isinstance(given, HostTAESD):
        last: Any = given.taesd_encoder[-1]
        return HostTAESD(latent_channels=last.out_channels)
    if not isinstance(given, AutoencodingEngine) or not _is_flat(given):
        raise IncompatibleModelError(OTHER_KIND.format(kind=type(given).__name__))
    sizes = _encoder_sizes(given.encoder)
    if hasattr(given, "quant_conv"):
        normed, conv = getattr(given, "bn", None) is not None, cast(Any, given.quant_conv)
        embed_dim = conv.out_channels // 2
        made = AutoencoderKL(ddconfig={**sizes, "batch_norm_latent": normed}, embed_dim=embed_dim)
    else:
        module = "comfy.ldm.modules.diffusionmodules.model."
        made = AutoencodingEngine(
            encoder_config={"target": f"{module}Encoder", "params": sizes},
            decoder_config={"target": f"{module}Decoder", "params": sizes},
            regularizer_config={"target": REGULARIZER},
        )
    if isinstance(given.decoder, VideoDecoder):
        sizes = _decoder_sizes(given.decoder)
        made.decoder = VideoDecoder(**sizes, video_kernel_size=[3, 1, 1], alpha=0.0)
    elif isinstance(given.decoder, Decoder):
        made.decoder = Decoder(**_decoder_sizes(given.decoder))
    return made


def _is_flat(given: AutoencodingEngine) -> bool:
    """True if an autoencoder sees one frame at a time, as those of image models do."""
    return type(given.encoder) is Encoder and isinstance(given.encoder.conv_in, nn.Conv2d)


def _encoder_sizes(encoder: Any) -> dict[str, Any]:
    """The host's words for the sizes of an autoencoder, from the layers of its encoder."""
    channels = encoder.conv_in.out_channels
    widths = [level.block[0].conv1.out_channels for level in encoder.down]
    return _sizes(channels, widths, len(encoder.down[0].block), encoder.conv_out.out_channels // 2)


def _decoder_sizes(decoder: Any) -> dict[str, Any]:
    channels = decoder.norm_out.num_channels
    widths = [level.block[0].out_channels for level in decoder.up]
    return _sizes(channels, widths, len(decoder.up[0].block) - 1, decoder.conv_in.in_channels)


def _sizes(channels: int, widths: list[int], blocks: int, latent_channels: int) -> dict[str, Any]:
    return {
        "double_z": True,
        "ch": channels,
        "ch_mult": [width // channels for width in widths],
        "num_res_blocks": blocks,
        "z_channels": latent_channels,
        "in_channels": 3,
        "out_ch": 3,
        "resolution": 256,
        "attn_resolutions": [],
        "dropout": 0.0,
    }


def _error(latents: Tensor, colours: Tensor, space: Any) -> float:
    """Mean square of what is wrong with the colours (k 3) that latents (k c) have in a space."""
    bias = torch.tensor(space.latent_rgb_factors_bias or [0.0, 0.0, 0.0])
    seen = space.process_in(latents) @ torch.tensor(space.latent_rgb_factors) + bias
    return (seen - colours).pow(2).mean().item()
