"""A disk with little room: no file of this process grows beyond a size while it lasts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let the system refuse every write beyond `size` bytes of a file.

    It refuses libraries in C and Rust as it does Python.
    """
    import resource  # not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
