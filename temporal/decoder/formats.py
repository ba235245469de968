"""Files of temporal decoders: safetensors with a description, like the temporal layers."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CheckpointFormatError
from ..formats import what_it_is
from ..formats.native import load_described, save_described
from ..weights.files import WeightsFile, read_weights
from .decoder import DecoderConfig, TemporalDecoder

FORMAT = "video_ldm.temporal_decoder"
IMAGE = "image."  # before the names of the image decoder's weights


def load_decoder(
    path: str | Path,
    ops: Any = nn,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> TemporalDecoder:
    """Read a temporal decoder; `dtype` and `device` default to the file's and the CPU.

    Raises:
        CheckpointFormatError: not a temporal decoder (the message says what it is), or damaged.
    """
    return decoder_of(read_weights(path), ops, dtype, device)


def decoder_of(
    file: WeightsFile,
    ops: Any = nn,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> TemporalDecoder:
    """The temporal decoder of a file that was read; otherwise as `load_decoder`."""
    _check(file)
    temporal = {key: value for key, value in file.tensors.items() if not key.startswith(IMAGE)}
    described = replace(file, tensors=temporal)
    return load_described(described, DecoderConfig.from_json, TemporalDecoder, ops, dtype, device)


def image_weights(file: WeightsFile) -> dict[str, Tensor]:
    """Weights of the image decoder that were trained along, by their names in the host's autoencoder.

    Often none.
    """
    return {key.removeprefix(IMAGE): value for key, value in file.tensors.items() if key.startswith(IMAGE)}


def _check(file: WeightsFile) -> None:
    if file.metadata.get("format") != FORMAT:
        raise CheckpointFormatError(f"{file.path.name} holds no temporal decoder: {what_it_is(file)}")


def save_decoder(
    path: str | Path,
    decoder: TemporalDecoder,
    extra_metadata: Mapping[str, str] | None = None,
    image: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a temporal decoder; `extra_metadata` (strings) means nothing to the loader.

    `image` are weights of the image decoder that belong to it, by their names in the host's autoencoder.
    """
    beside = {IMAGE + key: value for key, value in (image or {}).items()}
    save_described(path, decoder, FORMAT, decoder.config.to_json(), extra_metadata, beside)
