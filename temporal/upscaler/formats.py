"""Files of video upscalers: safetensors with a description, like the temporal layers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import CheckpointFormatError
from ..formats import what_it_is
from ..formats.native import load_described, save_described
from ..weights.files import WeightsFile, read_weights
from .config import UpscalerConfig
from .model import VideoUpscaler

FORMAT = "video_ldm.upscaler"


def recognise(file: WeightsFile) -> bool:
    """True if a file says it holds a video upscaler."""
    return file.metadata.get("format") == FORMAT


def load_upscaler(
    path: str | Path,
    ops: Any = nn,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> VideoUpscaler:
    """Read a video upscaler; `dtype` and `device` default to the file's and the CPU.

    Raises:
        CheckpointFormatError: not a video upscaler (the message says what it is), or damaged.
    """
    file = read_weights(path)
    if not recognise(file):
        raise CheckpointFormatError(f"{file.path.name} holds no video upscaler: {what_it_is(file)}")
    return load_described(file, UpscalerConfig.from_json, VideoUpscaler, ops, dtype, device)


def save_upscaler(
    path: str | Path, upscaler: VideoUpscaler, extra_metadata: Mapping[str, str] | None = None
) -> None:
    """Write a video upscaler; `extra_metadata` (strings) means nothing to the loader."""
    save_described(path, upscaler, FORMAT, upscaler.config.to_json(), extra_metadata)


def report_upscaler(upscaler: VideoUpscaler) -> str:
    """Lines on a video upscaler: how much it enlarges, and the windows it was trained with."""
    count, config = sum(weight.numel() for weight in upscaler.parameters()), upscaler.config
    return (
        f"Video LDM upscaler (native file), {count / 1e6:.1f} M weights, frames {config.scale} times as "
        f"large\nClip: windows of {config.max_frames} frames in training, any length"
    )
