"""Results of the films, a file each.

A file is written as a whole, so a killed run loses the film it was at, and no more.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .table import ClipRow, row_from_json, write_text

logger = logging.getLogger("video_ldm.curation")
VERSION = 1  # of the stages; a higher number has every film looked at again


@dataclass(frozen=True)
class FilmResult:
    """The clips of a film before any threshold, or why there are none; `notes` are for the report."""

    file: str
    seconds: float
    rows: tuple[ClipRow, ...] = ()
    problem: str = ""
    notes: tuple[str, ...] = ()


class Ledger:
    """The results of a run below a folder, by film and by the settings that they were made with."""

    def __init__(self, folder: Path, settings: str) -> None:
        self.folder, self.settings = folder, settings

    def place(self, path: Path) -> Path:
        """File for the result of a film as it is now. Raises OSError when the film is gone."""
        facts = path.stat()
        name = f"{VERSION} {path.resolve()} {facts.st_size} {facts.st_mtime_ns} {self.settings}"
        return self.folder / f"{hashlib.sha1(name.encode()).hexdigest()[:20]}.json"


def find_result(place: Path) -> FilmResult | None:
    """Result that is kept in a file; None where there is none, or a damaged one, which a line names."""
    if not place.is_file():
        return None
    try:
        content = json.loads(place.read_text("utf-8"))
        values = content["result"]
        if content["sum"] != _sum(values):
            raise ValueError(content["sum"])
        rows = tuple(row_from_json(row) for row in values["rows"])
        return FilmResult(values["file"], values["seconds"], rows, values["problem"], tuple(values["notes"]))
    except (OSError, ValueError, KeyError, TypeError):
        logger.warning("The result in %s is damaged; its film is looked at again.", place.name)
        return None


def save_result(place: Path, result: FilmResult) -> None:
    """Keep a result in a file, with a checksum. Raises OutputError."""
    values = {**asdict(result), "rows": [row.to_json() for row in result.rows]}
    write_text(place, json.dumps({"sum": _sum(values), "result": values}))


def _sum(values: Any) -> str:
    return hashlib.sha1(json.dumps(values, sort_keys=True).encode()).hexdigest()
