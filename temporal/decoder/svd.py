"""Files of the temporal decoders of Stable Video Diffusion, in both spellings, and of ToonCrafter.

The two compute the same: both keep the share of the temporal path, not of the spatial one, behind the sigmoid
of `mix_factor`, the reverse of our own layers.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import CheckpointFormatError
from ..weights.files import WeightsFile
from .plan import DecoderShape, kl_shape
from .svd_names import as_diffusers, as_original

ORIGINAL, DIFFUSERS = "original", "diffusers"
SIGNS = {ORIGINAL: "decoder.mid.block_1.mix_factor", DIFFUSERS: "decoder.time_conv_out.weight"}
DECODER, REFERENCES = "decoder.", "attn_refinement."
BESIDE = ("encoder.", "quant_conv.", "post_quant_conv.")


@dataclass(frozen=True)
class VideoDecoderFile:
    """Weights of the decoder by their original names, and its sizes."""

    name: str
    tensors: Mapping[str, Tensor]
    shape: DecoderShape
    latent_channels: int
    references: Mapping[str, Tensor]  # ToonCrafter's layers for the two given frames; none elsewhere
    beside: Mapping[str, Tensor]  # encoder and post_quant_conv, for ToonCrafter


def video_decoder(file: WeightsFile) -> VideoDecoderFile | None:
    """The decoder in a file, which may hold the rest of the model too; None when it holds none.

    Raises:
        CheckpointFormatError: the file is cut short or of another make.
    """
    known = video_decoder_spelling(file)
    if known is None:
        return None
    spelling, outer = known
    parts = _parts(file, outer)
    decoder = {key: tensor for key, tensor in parts.items() if key.startswith(DECODER)}
    beside = {key: tensor for key, tensor in parts.items() if not key.startswith(DECODER)}
    decoder = decoder if spelling == ORIGINAL else as_original(decoder)
    tensors = {key.removeprefix(DECODER): tensor for key, tensor in decoder.items()}
    return _described(file.path.name, tensors, beside)


def video_decoder_spelling(file: WeightsFile) -> tuple[str, str] | None:
    """The spelling of the decoder in a file, and what stands before the keys of its autoencoder.

    None when it holds none.
    """
    for spelling, sign in SIGNS.items():
        key = next((key for key in file.tensors if key.endswith(sign)), None)
        if key is not None:
            return spelling, key.removesuffix(sign)
    return None


def respelled_video_decoder(file: WeightsFile, wanted: str) -> dict[str, Tensor]:
    """The weights of the autoencoder in a file, in one of the two spellings; none where it has no decoder."""
    known = video_decoder_spelling(file)
    if known is None:
        return {}
    spelling, outer = known
    parts = _parts(file, outer)
    if spelling == wanted:
        return parts
    return as_original(parts) if wanted == ORIGINAL else as_diffusers(parts)


def _parts(file: WeightsFile, outer: str) -> dict[str, Tensor]:
    inside = {
        key.removeprefix(outer): tensor for key, tensor in file.tensors.items() if key.startswith(outer)
    }
    return {key: tensor for key, tensor in inside.items() if key.startswith((DECODER, *BESIDE))}


def _described(name: str, tensors: Mapping[str, Tensor], beside: Mapping[str, Tensor]) -> VideoDecoderFile:
    references = {k.removeprefix(REFERENCES): t for k, t in tensors.items() if k.startswith(REFERENCES)}
    tensors = {k: t for k, t in tensors.items() if not k.startswith(REFERENCES)}
    try:
        shape, latent_channels = kl_shape(tensors), tensors["conv_in.weight"].shape[1]
    except KeyError as missing:
        raise CheckpointFormatError(
            f"{name} looks like the temporal decoder of Stable Video Diffusion, but has no {missing}; it "
            "may be damaged. Download it again."
        ) from None
    return VideoDecoderFile(name, tensors, shape, latent_channels, references, beside)
