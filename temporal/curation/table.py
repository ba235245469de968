"""The table of a data set: `dataset.jsonl`, a line a clip, each a reference into the film it comes from.

What reads it needs `file`, `start`, `end` and `captions`; every other field is a score, None where it was not
measured.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import InvalidInputError
from ..weights.whole_file import whole_file

TABLE = "dataset.jsonl"


@dataclass(frozen=True)
class Caption:
    """A text for a clip, who wrote it, and how often training draws it beside the clip's others."""

    text: str
    by: str = "given"
    weight: float = 1.0


@dataclass(frozen=True)
class ClipRow:
    """A clip: seconds `start` to `end` of a film, its captions, its scores, and whether it is kept."""

    key: str
    file: str
    start: float
    end: float
    fps: float
    width: int
    height: int
    captions: tuple[Caption, ...] = ()
    motion: float | None = None  # diagonals a second
    motion_paper: float | None = None  # pixels at a shorter side of 16, at two frames a second
    text_area: float | None = None  # largest share of a frame that is covered by text
    aesthetic: float | None = None
    text_match: float | None = None  # cosine of the clip's pictures and its captions
    duplicate_of: str | None = None  # key of a clip that looks almost the same
    kept: bool = True
    why: str = ""  # of a clip that is not kept: the filter and its threshold
    # what a filter would have said of a clip that is kept all the same
    marks: tuple[str, ...] = field(default=())

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.end - self.start

    def to_json(self) -> dict[str, Any]:
        """The row as JSON, scores that were not measured left out."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def key_of(file: str, start: float, end: float) -> str:
    """Stable name of a clip: a hash of the film it comes from and of its place in it."""
    return hashlib.sha1(f"{file} {start:.3f} {end:.3f}".encode()).hexdigest()[:16]


def row_from_json(values: dict[str, Any]) -> ClipRow:
    """The reverse of `ClipRow.to_json`; raises ValueError, KeyError or TypeError for what is no row."""
    if not isinstance(values, dict):
        raise TypeError("a row is an object")
    known = {f.name for f in fields(ClipRow)}
    captions = tuple(Caption(**caption) for caption in values.get("captions", ()))
    given = {
        name: value for name, value in values.items() if name in known and name not in ("captions", "marks")
    }
    return ClipRow(**given, captions=captions, marks=tuple(values.get("marks", ())))


def write_text(path: Path, text: str) -> None:
    """Write a text file as a whole, in place of an older one. Raises OutputError."""
    with whole_file(path) as partial:
        partial.write_text(text, "utf-8")


def write_table(folder: Path, rows: Sequence[ClipRow]) -> Path:
    """Write `dataset.jsonl` of a folder as a whole, in place of an older one. Raises OutputError."""
    path = folder / TABLE
    write_text(path, "".join(json.dumps(row.to_json(), ensure_ascii=False) + "\n" for row in rows))
    return path


def read_table(folder: Path) -> list[ClipRow]:
    """The rows of a data set. Raises InvalidInputError when there is no table or a line of it is no row."""
    path = folder / TABLE
    if not path.is_file():
        raise InvalidInputError(f"{folder} holds no {TABLE}; make one with python -m video_ldm.curation.")
    rows = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        try:
            rows.append(row_from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            raise InvalidInputError(
                f"Line {number} of {path} is no row of a data set; correct it, or make the table again."
            ) from None
    return rows


def with_captions(row: ClipRow, captions: Iterable[Caption]) -> ClipRow:
    """The row with captions in place of its own."""
    return replace(row, captions=tuple(captions))
