"""Index and table of encoded clips: which are trained on, and why others are not."""

from __future__ import annotations

import csv
import io
import logging
from pathlib import Path
from typing import Any

import numpy as np

from .....temporal.errors import InvalidInputError
from .....temporal.training.data import cache, preparing
from .....temporal.training.data.reversal import reversed_captions
from .....temporal.weights.whole_file import whole_file
from ..kinds import TrainedModel
from .encoding import Encoded, Footage

logger = logging.getLogger(__name__)
TABLE = "clips.csv"
SHOWN = 3  # clips that a message names


def is_cache(footage: Footage) -> bool:
    """True if the folder holds prepared clips and no videos."""
    return footage.latents is None and (footage.folder / cache.INDEX).exists()


def open_clips(folder: Path, kind: TrainedModel) -> cache.ClipCache:
    """Clips of a folder with an index, whose captions are encoded where they are not yet."""
    encoder = kind.models.text_fingerprint()
    captions = cache.read_index(folder)["captions"]
    preparing.add_captions(folder, reversed_captions(captions, kind.config.reversed))
    preparing.write_captions(folder, encoder, kind.models.embed)
    clips, channels = cache.open_cache(folder, encoder), kind.models.channels
    if clips.latents.shape[1] != channels:
        raise InvalidInputError(
            f"The clips in {folder} were prepared for a model of {clips.latents.shape[1]} channels, but "
            f"this one takes in {channels}; give the folder of videos they were made from."
        )
    return clips


def tell_of(rows: list[Encoded]) -> None:
    """Say how many clips are trained on, and why others are not.

    Raises InvalidInputError where none is.
    """
    used, told = used_and_told(rows)
    if not used:
        raise InvalidInputError(
            f"None of {len(rows)} clips can be trained on: {told}. Use longer videos, a higher --fps or "
            "fewer --frames."
        )
    logger.info("%d of %d clips are trained on%s", used, len(rows), f"; {told}" if told else "")


def used_and_told(rows: list[Encoded]) -> tuple[int, str]:
    """Number of clips that are trained on, and the first reasons why others are not."""
    told = _told([f"{row.video.path.name} {row.why}" for row in rows if row.why])
    return sum(not row.why for row in rows), told


def write_rows(place: Path, target: Path, footage: Footage, used: list[Encoded]) -> None:
    """Write an index of encoded clips, whose files lie below `target`, into a folder at or below it."""
    up = "".join("../" for _ in place.relative_to(target).parts)
    more: dict[str, list[Any]] = {
        "files": [up + row.path.relative_to(target).as_posix() for row in used],
        "sources": [row.video.path.relative_to(footage.folder).as_posix() for row in used],
    }
    if any(len(row.video.captions) > 1 for row in used):
        more["choices"] = [row.video.captions or (("", 1.0),) for row in used]
    offsets = [0, *np.cumsum([row.frames for row in used]).tolist()]
    rates = [float(footage.fps)] * len(used)
    preparing.write_index(place, [row.video.caption for row in used], offsets, rates, more=more)


def _told(reasons: list[str]) -> str:
    """The first reasons, and how many more there are."""
    rest = f" and {len(reasons) - SHOWN} more, see {TABLE}" if len(reasons) > SHOWN else ""
    return "; ".join(reasons[:SHOWN]) + rest


def write_clip_table(path: Path, folder: Path, rows: list[tuple[Encoded, dict[str, str]]]) -> None:
    """One line a clip: where it is, how long, and whether it is trained on; then what more is said of it."""
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    more = list(dict.fromkeys(name for _, said in rows for name in said))
    lines.writerow(("file", "start", "frames", "trained on", "why not", *more))
    for row, said in rows:
        name = row.video.path.relative_to(folder).as_posix()
        facts = (name, f"{row.video.start:g}", row.frames, "no" if row.why else "yes", row.why)
        lines.writerow((*facts, *(said.get(name, "") for name in more)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_text(text.getvalue(), "utf-8")
