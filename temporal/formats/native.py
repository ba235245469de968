"""Our own file: safetensors, the stack's state dict, and its description as JSON in the metadata."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointFormatError
from ..files import WeightsFile, assign_weights, write_weights
from ..stack import StackConfig, TemporalStack

FORMAT, VERSION = "video_ldm.temporal_layers", "1"


def recognise(file: WeightsFile) -> bool:
    """Whether a file says it is ours."""
    return file.metadata.get("format") == FORMAT


def load(
    file: WeightsFile, ops: Any, dtype: torch.dtype | None, device: torch.device | str | None
) -> TemporalStack:
    """Build the stack that the file describes and give it the file's weights."""
    version = file.metadata.get("version")
    if version != VERSION:
        raise CheckpointFormatError(
            f"{file.path.name} was written in version {version} of the format; this pack reads version {VERSION}. "
            "Update the pack."
        )
    config = StackConfig.from_json(file.metadata.get("config", ""))
    stack = TemporalStack(config, ops=ops, device="meta")
    assign_weights(stack, file.tensors, file.path.name, dtype, device)
    return stack


def save_stack(
    path: str | Path, stack: TemporalStack, extra_metadata: Mapping[str, str] | None = None
) -> None:
    """Write a stack; `extra_metadata` (strings) is kept beside the description and means nothing to the loader."""
    metadata = {
        **(extra_metadata or {}),
        "format": FORMAT,
        "version": VERSION,
        "config": stack.config.to_json(),
    }
    write_weights(path, stack.state_dict(), metadata)
