"""ffmpeg as a running process that takes frames one by one and writes one file."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, cast

import numpy as np
from torch import Tensor

from ..errors import OutputError
from .formats import Format, executable
from .notes import as_ffmetadata, embed_notes
from .pixels import padded, whole_numbers
from .sound import Sound

# What ffmpeg says of a disk; everything else is about the film.
DISK = (
    "No space",
    "too large",
    "Read-only",
    "ermission denied",
    "Disk quota",
    "Input/output error",
    "name too long",
)
# by depth and numbers of a pixel
RAW = {(8, 3): "rgb24", (8, 4): "rgba", (16, 3): "rgb48le", (16, 4): "rgba64le"}
PATIENCE = 0.1  # seconds between two looks at whether to stop
# Every conversion is spelled out: ffmpeg's own guess is another matrix for small films than for large ones.
TO_YUV = "scale=in_range=pc:out_range=tv:out_color_matrix=bt709:flags=bicubic+accurate_rnd+full_chroma_int"
TAG_YUV = "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709"
TAG_RGB = "setparams=range=pc:color_primaries=bt709:color_trc=iec61966-2-1:colorspace=gbr"
PALETTES = "split[a][b];[a]palettegen=stats_mode=single[p];[b][p]paletteuse=new=1:dither=sierra2_4a"


class VideoFile:
    """A film on its way into one file, as a context manager; `finish` makes it whole."""

    def __init__(
        self,
        path: Path,
        format: Format,
        size: tuple[int, int, int],
        frame_rate: Fraction,
        quality: int,
        notes: Mapping[str, str],
        sound: Sound | None,
    ) -> None:
        self.path, self.format, self.notes = path, format, notes
        self.resources = contextlib.ExitStack()
        self.log: IO[bytes] = self.resources.enter_context(tempfile.TemporaryFile())
        self.folder = path.parent  # where a crash leaves sound and notes to be swept away with the film
        self.pixels = format.clear_pixels if size[2] == 4 else format.pixels
        command = self._command(size, frame_rate, quality, sound)
        self.process = self._start(command)
        self._pipe = cast(IO[bytes], self.process.stdin)  # as `_start` asks for

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        with contextlib.suppress(OSError):
            self._pipe.close()
        self.process.wait()
        self.resources.close()

    def write(self, frame: Tensor) -> None:
        """Encode one frame (1 h w c).

        Raises OSError when the disk has given up, OutputError when ffmpeg has.
        """
        pixels = whole_numbers(padded(frame, self.format.grid), self.format.depth)
        data = np.ascontiguousarray(pixels).data.cast("B")
        try:
            while data:
                data = data[self._pipe.write(data) or 0 :]
        except OSError:
            self.process.wait()
            raise self._failure() from None

    def finish(self, check: Callable[[], None]) -> None:
        """Wait until everything is on disk, calling `check` now and then.

        Raises as `write` when it is not.
        """
        with contextlib.suppress(OSError):
            self._pipe.close()
        while True:
            check()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
                break
        if self.process.returncode:
            raise self._failure()
        embed_notes(self.path, self.format.suffix, self.notes)

    def _start(self, command: list[str]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self.log,
                bufsize=0,
                env={"SVT_LOG": "1", **os.environ},  # errors alone, as of ffmpeg: a greeting is none
            )
        except OSError as error:
            self.resources.close()
            raise OutputError(
                f"ffmpeg cannot be started at {command[0]}: {error.strerror}. Install the Python package "
                "imageio-ffmpeg again, or set IMAGEIO_FFMPEG_EXE to a working ffmpeg."
            ) from None

    def _command(
        self, size: tuple[int, int, int], frame_rate: Fraction, quality: int, sound: Sound | None
    ) -> list[str]:
        columns, rows = self.format.grid
        width, height = size[0] + -size[0] % columns, size[1] + -size[1] % rows
        raw = RAW[self.format.depth, size[2]]
        command = [executable(), "-hide_banner", "-loglevel", "error", "-y"]
        command += ["-f", "rawvideo", "-pixel_format", raw, "-video_size", f"{width}x{height}"]
        command += ["-framerate", str(frame_rate), "-i", "pipe:0"]
        inputs, outputs = self._notes_arguments()
        command += inputs
        if sound is not None:
            command += sound.arguments(self.folder / "sound")
            outputs += ["-map", f"{2 if inputs else 1}:a", "-c:a", self.format.sound]
        command += ["-map", "0:v", *outputs, "-vf", self._filters()]
        command += [
            "-c:v",
            self.format.encoder,
            *self.format.options(quality),
            "-pix_fmt",
            self.pixels,
        ]
        return [*command, "-f", self.format.muxer, str(self.path)]

    def _notes_arguments(self) -> tuple[list[str], list[str]]:
        if self.format.muxer not in ("mp4", "mov", "webm", "matroska"):
            return [], []
        (self.folder / "notes").write_bytes(as_ffmetadata(self.notes))
        outputs = ["-map_metadata", "1"]
        if self.format.muxer in ("mp4", "mov"):
            # The beginning of the file says where everything is: it plays while it loads, and notes are found
            # at once.
            outputs += ["-movflags", "use_metadata_tags+faststart"]
        return ["-f", "ffmetadata", "-i", str(self.folder / "notes")], outputs

    def _filters(self) -> str:
        if self.pixels == "pal8":
            return PALETTES
        if self.pixels.startswith("yuv"):
            return f"{TO_YUV},format={self.pixels},{TAG_YUV}"
        return f"format={self.pixels},{TAG_RGB}"

    def _failure(self) -> Exception:
        self.log.seek(0)
        lines = [line.strip() for line in self.log.read().decode("utf-8", "replace").splitlines()]
        about_disk = next((line for line in lines if any(word in line for word in DISK)), None)
        if about_disk is not None:
            return OSError(about_disk)
        if self.process.returncode < 0:
            return OutputError(
                f"ffmpeg was stopped from outside (signal {-self.process.returncode}) while it wrote "
                f"{self.format.name}, as systems do when memory runs out. Close other programs, or choose "
                "another format or smaller frames."
            )
        return OutputError(
            f"ffmpeg's {self.format.encoder} cannot write this film as {self.format.name}: "
            f"{next(iter(lines), 'it does not say why')}. Choose another format, or render without audio "
            "if the sound is strange."
        )


def cannot_write_film(folder: Path, reason: object) -> OutputError:
    """The error of a film that does not fit on the disk or may not be written there."""
    return OutputError(
        f"The film cannot be written to {folder}: {reason}. Free space there or make the folder writable, "
        "or start ComfyUI with --output-directory on another disk; no half film was left."
    )
