"""Files that are there whole or not at all.

Made beside their place, flushed to the disk, then moved there.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from safetensors import SafetensorError

from ..claims import Claim
from ..errors import OutputError

LONGEST_REASON = 120  # of what a library or the system says


@contextlib.contextmanager
def whole_file(path: str | os.PathLike) -> Iterator[Path]:
    """Give a place to write a file that is put in its own place when no error came.

    After an error nothing is left of it.

    Raises OutputError when the disk does not take it: it is full, read-only or gone, or the name is none.
    """
    path = Path(path)
    try:
        with Claim(path) as claim:
            claim.begin()
            made = claim.folder / "made"
            yield made
            flush(made)
            claim.publish(made)
    except (OSError, SafetensorError) as error:
        raise cannot_write(path, error) from None


def check_writable(path: str | os.PathLike) -> None:
    """Refuse a file that could not be written, before the hours of work that end in it.

    Raises OutputError.
    """
    path = Path(path)
    try:
        with Claim(path) as claim:
            claim.begin()
    except (OSError, ValueError) as error:  # ValueError: a zero in the name
        raise cannot_write(path, error) from None


def flush(path: Path) -> None:
    """Wait until a file is on the disk, and not only in the memory of the system."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def cannot_write(path: Path, error: Exception) -> OutputError:
    """The sentence about a file that the disk does not take."""
    reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
    name = str(path)
    name = name if name.isprintable() else ascii(name)
    return OutputError(
        f"{name} cannot be written: {reason[:LONGEST_REASON]}. Free space there, or choose another place "
        "or name."
    )
