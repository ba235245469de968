"""Atomic training states: a file is either the old state or the new one, never half of one."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any, Protocol

import torch

from ..errors import CheckpointFormatError, VideoLDMError
from ..weights.pickles import PARSER_ERRORS
from ..weights.whole_file import cannot_write, whole_file

BUFFER = 2**22  # bytes; a state has many small parts
LONGEST_REASON = 150  # of what PyTorch says


class Resumable(Protocol):
    """A training run that can be gone on with."""

    step: int

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved run."""


def save_state(path: str | os.PathLike, state: dict[str, Any]) -> None:
    """Write a state in one step.

    Raises OutputError when the disk does not take it; the old state is then still there.
    """
    with whole_file(path) as partial:
        try:
            with partial.open("wb", buffering=BUFFER) as file:
                torch.save(state, file)
        except RuntimeError:  # what PyTorch makes of a disk that took only a part
            raise cannot_write(Path(path), OSError("the disk took only a part of it")) from None


def load_state(path: str | os.PathLike) -> dict[str, Any]:
    """Read a state; raises CheckpointFormatError for a file that is none (no code in it is ever run)."""
    try:
        with zipfile.ZipFile(path) as parts:
            damaged = parts.testzip()  # PyTorch itself would not notice a changed number
        state = {} if damaged else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointFormatError(
            f"There is no training state {path}; leave out --resume to start one."
        ) from None
    except PARSER_ERRORS as error:
        raise _no_state(path, str(error)) from None
    if damaged:
        raise _no_state(path, "its checksum is another one")
    if not isinstance(state, dict):
        raise _no_state(path, f"it holds a {type(state).__name__}")
    return state


def go_on(trainer: Resumable, path: str | os.PathLike) -> None:
    """Take over the run of a state file.

    Raises CheckpointFormatError for a file that is none or is damaged, IncompatibleModelError where it
    trained something else.
    """
    take_over(trainer, load_state(path), path)


def take_over(trainer: Resumable, state: dict[str, Any], path: str | os.PathLike) -> None:
    """Take over a run that was read from a file.

    Raises CheckpointFormatError where parts of it are missing or wrong.
    """
    try:
        trainer.load_state_dict(state)
    except VideoLDMError:
        raise
    except PARSER_ERRORS as error:
        raise _no_state(path, f"{type(error).__name__}: {error}") from None


def _no_state(path: str | os.PathLike, reason: str) -> CheckpointFormatError:
    reason = reason.partition("\n")[0][:LONGEST_REASON]
    reason = reason if reason.isprintable() else ascii(reason)
    return CheckpointFormatError(
        f"{path} is no whole training state ({reason}); remove it to start anew, or give one this training "
        "wrote."
    )
