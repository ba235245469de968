"""Files of temporal layers. One module per family: `recognise` a file, `load` a stack from it."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import CheckpointFormatError
from ..files import read_weights
from ..stack import TemporalStack
from . import native
from .native import save_stack
from .strangers import describe

__all__ = ["load_stack", "save_stack"]

FAMILIES = (native,)


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
    file = read_weights(path)
    for family in FAMILIES:
        if family.recognise(file):
            return family.load(file, ops, dtype, device)
    raise CheckpointFormatError(f"{file.path.name} holds no temporal layers: {describe(file)}")
