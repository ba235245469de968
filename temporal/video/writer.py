"""A film written frame by frame, in one step: under its own name it is whole or not there.

Shapes: chunks of frames (n h w 3) float 0..1.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

from torch import Tensor

from ..claims import Claim
from ..errors import InvalidInputError, OutputError
from .formats import check_film, format_named
from .pictures import PictureFolder
from .pixels import check_frames
from .process import VideoFile, cannot_write_film
from .sound import Sound, sound_channels

FINEST = 1001  # denominator of a frame rate, as in 24000/1001


@dataclass(frozen=True)
class Film:
    """Settings of a film that is written. `notes` are kept in the file as JSON, by name."""

    format: str
    fps: float
    quality: int = 80
    notes: Mapping[str, Any] = field(default_factory=dict)
    sound: Sound | None = None

    @property
    def frame_rate(self) -> Fraction:
        """Frames per second as a fraction that containers can hold."""
        return Fraction(self.fps).limit_denominator(FINEST)


class FilmWriter:
    """Writes a film to `path`, a file or a folder, as a context manager around `write`.

    A path takes the place of what was there; a claimed name that of nothing. Leaving it without an error
    makes the film whole and gives it its name; any error, an interrupt included, removes what was written.
    `check` is called before every frame and while the encoder finishes; it may raise to stop. Raises
    InvalidInputError for what the format cannot hold, OutputError when the disk does not take it.
    """

    def __init__(self, path: Path | Claim, film: Film, check: Callable[[], None] = lambda: None) -> None:
        self.claim = path if isinstance(path, Claim) else Claim(path)
        self.film, self.check = film, check
        self.format = format_named(film.format)
        self.made = self.claim.folder / f"film{self.format.suffix}"
        self.count = 0
        self.size: tuple[int, int, int] | None = None
        self._open: VideoFile | PictureFolder | None = None
        self._resources = ExitStack()

    @property
    def path(self) -> Path:
        """Path of the film, or of the film to come."""
        return self.claim.path

    def __enter__(self) -> FilmWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.claim:
            try:
                with self._resources:
                    if kind is None:
                        self._finish()
                if kind is None:
                    self.claim.publish(self.made)
            except OSError as problem:
                raise cannot_write_film(self.path.parent, problem.strerror or problem) from None

    def write(self, frames: Tensor) -> None:
        """Add a chunk of frames (n h w 3), or (n h w 4): how opaque they are is kept where the format can."""
        if frames.shape[-1] == 4 and not self.format.holds_transparency:
            frames = frames[..., :3]
        check_frames(frames, self.size, self.count)
        try:
            for frame in frames.split(1) if len(frames) else ():
                self.check()
                film = self._open or self._begin((frame.shape[2], frame.shape[1], frame.shape[3]))
                film.write(frame)
                self.count += 1
        except OSError as problem:
            raise cannot_write_film(self.path.parent, problem.strerror or problem) from None

    def _begin(self, size: tuple[int, int, int]) -> VideoFile | PictureFolder:
        film, self.size = self.film, size
        check_film(self.format, *size[:2], film.fps, film.quality, sound_channels(film.sound))
        notes = {key: json.dumps(value) for key, value in film.notes.items()}
        self.claim.begin()
        if self.format.is_sequence:
            target = PictureFolder(self.made, self.format, film.frame_rate, notes, film.sound)
        else:
            target = VideoFile(self.made, self.format, size, film.frame_rate, film.quality, notes, film.sound)
        self._open = self._resources.enter_context(target)
        return self._open

    def _finish(self) -> None:
        if self._open is None:
            raise InvalidInputError("There are no frames to write; connect a clip of at least one frame.")
        self._open.finish(self.check)
        if not self.made.exists():
            raise OutputError(f"The encoder left no file at {self.made}; the disk may have been removed.")
