"""Places of temporal layers in the decoder of an autoencoder: data only.

One layer follows every residual block of the decoder, as in Video LDM (section 3.1.1).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ..weights.description import check_described

TAESD_BLOCKS = (3, 4, 5, 8, 9, 10, 13, 14, 15, 18)  # places of the residual blocks in the host's sequence
FIRST_LEVEL_BLOCK = re.compile(r"up\.0\.block\.\d+\.conv1\.weight")


@dataclass(frozen=True)
class DecoderShape:
    """The sizes of a decoder; the last two mean nothing for TAESD."""

    kind: Literal["taesd", "kl"]
    channels: int
    channel_mult: tuple[int, ...]
    num_res_blocks: int

    def check(self) -> None:
        """Refuse sizes that no decoder has; `CheckpointFormatError` says the first thing that is wrong."""
        mults = self.channel_mult
        check_described(
            {
                "channels is from 1 to 4096": 0 < self.channels <= 4096,
                "channel_mult has 1 to 8 levels": 0 < len(mults) <= 8
                and all(0 < mult <= 16 for mult in mults),
                "a level has at most 16 blocks": 0 <= self.num_res_blocks <= 16,
            }
        )


TAESD = DecoderShape("taesd", channels=64, channel_mult=(1,), num_res_blocks=0)
KL = DecoderShape("kl", channels=128, channel_mult=(1, 2, 4, 4), num_res_blocks=2)


@dataclass(frozen=True)
class DecoderSite:
    """One place for a temporal layer: after the host module at `path`, below its `first_stage_model`."""

    path: str
    channels: int

    @property
    def name(self) -> str:
        """Key of the layer in the decoder's layers, and thereby in files."""
        return self.path.replace(".", "_")


def plan_decoder(shape: DecoderShape) -> tuple[DecoderSite, ...]:
    """All sites of a decoder in order of execution."""
    if shape.kind == "taesd":
        return tuple(DecoderSite(f"taesd_decoder.{index}", shape.channels) for index in TAESD_BLOCKS)
    return tuple(_kl_sites(shape))


def kl_shape(weights: Mapping[str, Tensor]) -> DecoderShape:
    """The sizes of a KL decoder from its weights.

    Raises KeyError with the name of a weight that is not there.
    """
    channels = weights["norm_out.weight"].shape[0]
    widths = []
    while (key := f"up.{len(widths)}.block.0.conv1.weight") in weights:
        widths.append(weights[key].shape[0])
    blocks = sum(bool(FIRST_LEVEL_BLOCK.fullmatch(key)) for key in weights)
    return DecoderShape("kl", channels, tuple(width // channels for width in widths), blocks - 1)


def _kl_sites(shape: DecoderShape) -> Iterator[DecoderSite]:
    widths = [shape.channels * mult for mult in shape.channel_mult]
    yield DecoderSite("decoder.mid.block_1", widths[-1])
    yield DecoderSite("decoder.mid.block_2", widths[-1])
    for level, width in reversed(list(enumerate(widths))):
        for block in range(shape.num_res_blocks + 1):
            yield DecoderSite(f"decoder.up.{level}.block.{block}", width)
