"""Files of the temporal decoder of Stable Video Diffusion, in the original's spelling or diffusers', and of ToonCrafter's.

The two compute the same: both keep the share of the temporal path, not of the spatial one, behind the sigmoid of
`mix_factor`, the reverse of our own layers. diffusers has linear layers where the original has 1 x 1 convolutions, and
counts its levels from the lowest resolution up.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import CheckpointFormatError
from ..files import WeightsFile
from .plan import DecoderShape, kl_shape

ORIGINAL, DIFFUSERS = "decoder.mid.block_1.mix_factor", "decoder.time_conv_out.weight"
REFERENCES = "attn_refinement."
LEVEL = re.compile(r"up_blocks\.(\d+)\.(?:resnets|upsamplers\.0)\.")
RENAMED = (  # diffusers, original; in this order
    ("spatial_res_block.conv_shortcut.", "nin_shortcut."),
    ("spatial_res_block.", ""),
    ("temporal_res_block.norm1.", "time_stack.in_layers.0."),
    ("temporal_res_block.conv1.", "time_stack.in_layers.2."),
    ("temporal_res_block.norm2.", "time_stack.out_layers.0."),
    ("temporal_res_block.conv2.", "time_stack.out_layers.3."),
    ("time_mixer.", ""),
    ("mid_block.resnets.0.", "mid.block_1."),
    ("mid_block.resnets.1.", "mid.block_2."),
    ("mid_block.attentions.0.group_norm.", "mid.attn_1.norm."),
    ("mid_block.attentions.0.to_out.0.", "mid.attn_1.proj_out."),
    ("mid_block.attentions.0.to_", "mid.attn_1."),
    ("conv_norm_out.", "norm_out."),
    ("time_conv_out.", "conv_out.time_mix_conv."),
)


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
    for spelling in (ORIGINAL, DIFFUSERS):
        key = next((key for key in file.tensors if key.endswith(spelling)), None)
        if key is not None:
            prefix = key.removesuffix(spelling) + "decoder."
            inside = {k.removeprefix(prefix): t for k, t in file.tensors.items() if k.startswith(prefix)}
            tensors = inside if spelling == ORIGINAL else _from_diffusers(inside)
            outer = prefix.removesuffix("decoder.")
            parts = tuple(f"{outer}{part}." for part in ("encoder", "quant_conv", "post_quant_conv"))
            beside = {k.removeprefix(outer): t for k, t in file.tensors.items() if k.startswith(parts)}
            return _described(file.path.name, tensors, beside)
    return None


def _from_diffusers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of diffusers' TemporalDecoder by the original's names."""
    levels = 1 + max((int(found[1]) for key in tensors if (found := LEVEL.match(key))), default=0)
    return {
        _original_name(key, levels): tensor[..., None, None]
        if "attentions" in key and tensor.ndim == 2
        else tensor
        for key, tensor in tensors.items()
    }


def _original_name(key: str, levels: int) -> str:
    if found := LEVEL.match(key):
        part = "block." if "resnets" in found[0] else "upsample."
        key = f"up.{levels - 1 - int(found[1])}.{part}{key.removeprefix(found[0])}"
    for theirs, original in RENAMED:
        key = key.replace(theirs, original)
    return key


def _described(name: str, tensors: Mapping[str, Tensor], beside: Mapping[str, Tensor]) -> VideoDecoderFile:
    references = {k.removeprefix(REFERENCES): t for k, t in tensors.items() if k.startswith(REFERENCES)}
    tensors = {k: t for k, t in tensors.items() if not k.startswith(REFERENCES)}
    try:
        shape, latent_channels = kl_shape(tensors), tensors["conv_in.weight"].shape[1]
    except KeyError as missing:
        raise CheckpointFormatError(
            f"{name} looks like the temporal decoder of Stable Video Diffusion, but has no {missing}; it may be damaged. "
            "Download it again."
        ) from None
    return VideoDecoderFile(name, tensors, shape, latent_channels, references, beside)
