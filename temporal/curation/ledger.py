"""Results of the films, a file each.

A file is written as a whole, so a killed run loses the film it was at, and no more.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from .table import ClipRow, row_from_json, write_text

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

    def find(self, path: Path) -> FilmResult | None:
        """The result for a film as it is now; None where there is none, or it cannot be read."""
        file = self._file(path)
        try:
            values = json.loads(file.read_text("utf-8"))
            rows = tuple(row_from_json(row) for row in values["rows"])
            notes = tuple(values["notes"])
            return FilmResult(values["file"], values["seconds"], rows, values["problem"], notes)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def save(self, path: Path, result: FilmResult) -> None:
        """Keep the result of a film. Raises OutputError."""
        values = {**asdict(result), "rows": [row.to_json() for row in result.rows]}
        write_text(self._file(path), json.dumps(values))

    def _file(self, path: Path) -> Path:
        facts = path.stat()
        name = f"{VERSION} {path.resolve()} {facts.st_size} {facts.st_mtime_ns} {self.settings}"
        return self.folder / f"{hashlib.sha1(name.encode()).hexdigest()[:20]}.json"
