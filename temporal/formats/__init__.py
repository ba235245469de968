"""Files of temporal layers. One module per family: `recognise` a file, `load` a stack from it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import CheckpointFormatError
from ..files import WeightsFile, read_weights
from ..stack import TemporalStack
from . import native
from .animatediff import ORIGINAL
from .facts import Schedule
from .hotshot import HOTSHOT
from .motion_adapter import DIFFUSERS
from .native import save_stack
from .source import Source, report, schedule_of, trained_frames
from .strangers import describe

__all__ = [
    "Schedule",
    "Source",
    "load_stack",
    "open_stack",
    "report",
    "save_stack",
    "schedule_of",
    "trained_frames",
]

FAMILIES = (native, ORIGINAL, DIFFUSERS, HOTSHOT)  # the original spelling is also one of diffusers' names
# what trainers and pipelines put before every key
PREFIXES = ("_forward_module.", "module.", "model.diffusion_model.", "diffusion_model.", "unet.")


def load_stack(
    path: str | Path,
    ops: Any = nn,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> TemporalStack:
    """Read temporal layers from a file of any known family; `dtype` and `device` default to the file's and the CPU.

    Raises:
        CheckpointFormatError: not temporal layers (the message says what it is and where it belongs), or damaged.
    """
    return open_stack(path, ops, dtype, device)[0]


def open_stack(
    path: str | Path,
    ops: Any = nn,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> tuple[TemporalStack, Source]:
    """As `load_stack`, with where the stack came from, for `report`."""
    file = read_weights(path)
    named = bare(file)
    for family in FAMILIES:
        if family.recognise(named):
            return family.load(named, ops, dtype, device)
    raise CheckpointFormatError(f"{file.path.name} holds no temporal layers: {describe(file)}")


def bare(file: WeightsFile) -> WeightsFile:
    """The same tensors under their bare names; the file itself where two would get the same name."""
    tensors = {_bare(key): tensor for key, tensor in file.tensors.items()}
    return replace(file, tensors=tensors) if len(tensors) == len(file.tensors) else file


def _bare(key: str) -> str:
    for prefix in PREFIXES:
        key = key.removeprefix(prefix)
    return key
