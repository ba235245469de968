"""Atomic training states: a file is either the old state or the new one, never half of one."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointFormatError


def save_state(path: str | os.PathLike, state: dict[str, Any]) -> None:
    """Write beside the target, flush to disk, then take its place."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".partial")
    with temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_state(path: str | os.PathLike) -> dict[str, Any]:
    """Read a state; raises CheckpointFormatError for a file that is none (no code in it is ever run)."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointFormatError(
            f"There is no training state {path}; leave out --resume to start one."
        ) from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointFormatError(
            f"{path} is no training state ({reason}); give one this training wrote."
        ) from None
