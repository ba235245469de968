"""Captions whose clip is not there: one that was renamed leaves its own behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from .....temporal.curation.folder import METADATA, PICTURES, SUFFIXES

SHOWN = 3  # captions that are named
OURS = "video_ldm_"  # what a training keeps in the folder


def captions_without_clips(folder: Path) -> str:
    """Text files and lines of the metadata without a clip, in a few words; empty where all have one.

    Call it on a folder whose metadata has been read already.
    """
    files = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    files = [path for path in files if not any(part.startswith((".", OURS)) for part in path.parts)]
    clips = {path.with_suffix("") for path in files if path.suffix.lower() in SUFFIXES | PICTURES}
    lost = [path for path in files if path.suffix.lower() == ".txt" and path.with_suffix("") not in clips]
    for table in (path for path in files if path.name == METADATA):
        lost += [path for path in _named(folder, table) if path not in files]
    if not lost:
        return ""
    more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
    return f"captions without a clip: {', '.join(path.as_posix() for path in lost[:SHOWN])}{more}"


def _named(folder: Path, table: Path) -> Iterator[Path]:
    """Paths of the files that the lines of a table are on."""
    for line in (folder / table).read_text("utf-8-sig").splitlines():
        if line.strip():
            yield table.parent / str(json.loads(line)["file_name"])
