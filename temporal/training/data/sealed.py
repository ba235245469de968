"""Seals beside large files, by which a damaged file is known and made again."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...weights.whole_file import whole_file

SUFFIX = ".seal"
CHUNK = 2**22  # bytes read at once


@contextlib.contextmanager
def sealed_file(path: Path) -> Iterator[Path]:
    """Write a file as `whole_file` does, with a seal that is there before the file.

    One without the other is made again.
    """
    with whole_file(path) as made:
        yield made
        with whole_file(_seal_of(path)) as partial:
            partial.write_text(json.dumps({**_stamp(made), "crc32": _checksum(made)}), "utf-8")


def is_sound(path: Path) -> bool:
    """True if a file is there and is what was sealed.

    One without a seal, as older versions left it, only has to be there.

    Its bytes are only read where size and time do not tell.
    """
    if not path.is_file():
        return False
    kept = _seal_of(path)
    if not kept.exists():
        return True
    try:
        sealed = json.loads(kept.read_text("utf-8"))
        stamp = {name: sealed[name] for name in ("size", "mtime_ns")}
        return stamp == _stamp(path) or (
            stamp["size"] == path.stat().st_size and sealed["crc32"] == _checksum(path)
        )
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _seal_of(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _stamp(path: Path) -> dict[str, Any]:
    facts = path.stat()
    return {"size": facts.st_size, "mtime_ns": facts.st_mtime_ns}


def _checksum(path: Path) -> int:
    value = 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            value = zlib.crc32(chunk, value)
    return value
