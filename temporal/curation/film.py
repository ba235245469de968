"""The stages of one film: probe, cuts, length limits, motion, text.

What needs all clips at once comes later (thresholds).

Memory does not grow with the film: frames are streamed, and a clip is a place in the film, not a copy of it.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..errors import InvalidInputError, MissingLibraryError
from ..metrics.flow import motion
from ..metrics.text_area import TextDetector
from ..video.reading import FilmInfo, fitted, frame_at, frames_of, probe
from .cuts import SIZE, find_cuts, shots
from .ledger import FilmResult
from .table import ClipRow, key_of

STAGES = ("cuts", "motion", "text")
# frames a second and pixels of the shorter side that motion is measured at
MOTION_FPS, MOTION_SIDE = 2.0, 128
TEXT_SIDE = 720
FASTEST = 30.0  # frames a second that cuts are looked for at


@dataclass(frozen=True)
class CurationSettings:
    """Settings that decide the clips of a film and their scores; lengths in seconds."""

    skip: tuple[str, ...] = ()
    shortest: float = 2.0
    longest: float = 20.0
    margin: float = 0.1  # left out beside a transition
    detector: str = "cascade"  # or "transnet"

    def __post_init__(self) -> None:
        unknown = sorted(set(self.skip) - set(STAGES))
        if unknown:
            raise InvalidInputError(
                f"There is no stage {unknown[0]!r} to skip; the stages are {', '.join(STAGES)}."
            )
        if not 0 < self.shortest <= self.longest:
            raise InvalidInputError(
                f"Clips of {self.shortest:g} to {self.longest:g} seconds were asked for; give two lengths "
                "above 0, the shorter one first."
            )

    def to_json(self) -> str:
        """One line that tells settings apart."""
        return json.dumps(asdict(self), sort_keys=True)


def file_of(path: Path, folder: Path) -> str:
    """A film as seen from the folder of the data set, so that both can be moved together."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:  # on another drive of Windows
        return path.as_posix()


def look_at(path: Path, folder: Path, settings: CurationSettings) -> FilmResult:
    """The clips of a film with their scores, for a data set in `folder`.

    A film that cannot be used is a result with its problem, never an error.

    Raises:
        MissingLibraryError: a library that a stage needs is not installed.
    """
    file = file_of(path, folder)
    try:
        film = probe(path)
        ends = _shots(film, settings)
    except MissingLibraryError:
        raise
    except (InvalidInputError, OSError) as error:
        return FilmResult(file, 0.0, problem=str(error))
    detector = None if "text" in settings.skip else TextDetector()
    rows = [_scored(_row(film, file, start, end), film, settings, detector) for start, end in ends]
    if not rows:
        problem = f"{path.name} has no shot of {settings.shortest:g} seconds."
        return FilmResult(file, film.seconds, problem=problem, notes=_notes(film))
    return FilmResult(file, film.seconds, tuple(rows), notes=_notes(film))


def pieces(start: float, end: float, settings: CurationSettings) -> list[tuple[float, float]]:
    """A shot as clips: none when it is too short, equal parts when it is too long."""
    seconds = end - start
    if seconds < settings.shortest:
        return []
    count = max(1, -int(-seconds // settings.longest))
    step = seconds / count
    return [(start + n * step, start + (n + 1) * step) for n in range(count)]


def _shots(film: FilmInfo, settings: CurationSettings) -> list[tuple[float, float]]:
    """Clips of a film in seconds."""
    if "cuts" in settings.skip:
        return pieces(0.0, film.seconds, settings)
    fps = min(film.fps, FASTEST)
    if settings.detector == "transnet":
        from .transnet import SIZE as transnet_size
        from .transnet import find_transitions

        transitions, count = find_transitions(frames_of(film, fps, transnet_size))
    else:
        transitions, count = find_cuts(frames_of(film, fps, SIZE), fps)
    found = []
    for start, end in shots(transitions, count):
        after_cut = settings.margin if start else 0.0
        before_cut = settings.margin if end < count else 0.0
        found += pieces(start / fps + after_cut, end / fps - before_cut, settings)
    return found


def _row(film: FilmInfo, file: str, start: float, end: float) -> ClipRow:
    start, end = round(start, 3), round(end, 3)
    return ClipRow(key_of(file, start, end), file, start, end, film.fps, film.width, film.height)


def _scored(
    row: ClipRow, film: FilmInfo, settings: CurationSettings, detector: TextDetector | None
) -> ClipRow:
    try:
        if "motion" not in settings.skip:
            small = frames_of(film, MOTION_FPS, fitted(film, MOTION_SIDE), row.start, row.seconds)
            score = motion(small, MOTION_FPS)
            row = replace(row, motion=score.speed, motion_paper=score.paper)
        if detector is not None:
            size = fitted(film, TEXT_SIDE)
            moments = (row.start, (row.start + row.end) / 2, max(row.start, row.end - 2 / film.fps))
            row = replace(
                row, text_area=max(detector.area(frame_at(film, moment, size)) for moment in moments)
            )
    except MissingLibraryError:
        raise
    except InvalidInputError:
        return replace(row, kept=False, why="cannot be decoded here")
    return row


def _notes(film: FilmInfo) -> tuple[str, ...]:
    said = {
        "HDR: its colours are read as they are, without tone mapping": film.hdr,
        "variable frame rate: frames are repeated or left out to make it even": film.variable_rate,
    }
    return tuple(text for text, holds in said.items() if holds)
