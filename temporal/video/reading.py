"""Films as streams of frames.

What a file says of itself, and its pictures one by one, in memory that does not grow.

Shapes: a frame (h w 3) uint8, RGB; sound (channels samples) float -1..1.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from einops import rearrange

from ..errors import InvalidInputError

FILMS = frozenset(
    {".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv", ".flv"}
)
HDR = ("smpte2084", "arib-std-b67")  # the transfer curves of HDR10 and HLG
PROBE_SECONDS = 60  # longest that ffmpeg may take to look at a file


@dataclass(frozen=True)
class FilmInfo:
    """Facts of a film.

    Seconds, frames per second, size in pixels as it is shown, and what is special about it.
    """

    path: Path
    seconds: float
    fps: float
    width: int
    height: int
    hdr: bool = False
    sound: bool = False
    variable_rate: bool = False  # its frames do not come at equal distances


def probe(path: Path) -> FilmInfo:
    """Look at a film without decoding it.

    Raises:
        InvalidInputError: there is no file, it cannot be read as a film, or it holds no pictures.
    """
    if not path.is_file():
        raise InvalidInputError(f"There is no film {path}; check its name.")
    if path.stat().st_size == 0:
        raise InvalidInputError(f"{path.name} is empty; remove or replace it.")
    text = _said_by_ffmpeg(path)
    streams = [line for line in text.splitlines() if " Video: " in line and "attached pic" not in line]
    size = re.search(r"[ ,](\d{2,5})x(\d{2,5})[ ,\[]", streams[0] + " ") if streams else None
    rate = re.search(r"([\d.]+) (fps|tbr)", streams[0]) if streams else None
    if size is None or rate is None or not float(rate[1]) > 0:
        if " Audio: " in text:
            raise InvalidInputError(f"{path.name} holds sound and no pictures; give a film.")
        raise InvalidInputError(f"{path.name} cannot be read as a film; remove or replace it.")
    width, height = int(size[1]), int(size[2])
    if re.search(r"rotation of -?90", text):
        width, height = height, width
    base = re.search(r"([\d.]+) tbr", streams[0])
    return FilmInfo(
        path,
        _seconds(text),
        float(rate[1]),
        width,
        height,
        hdr=any(curve in streams[0] for curve in HDR),
        sound=" Audio: " in text,
        variable_rate=base is not None and abs(float(base[1]) - float(rate[1])) > 0.02 * float(rate[1]),
    )


def frames_of(
    film: FilmInfo, fps: float, size: tuple[int, int], start: float = 0.0, seconds: float | None = None
) -> Generator[np.ndarray, None, None]:
    """Frames of a film at `fps`, scaled to `size` (width, height), from `start` on for `seconds`.

    A frame of a film with a variable rate is repeated or left out, so that frame n is what is shown at n /
    fps.

    Raises:
        InvalidInputError: nothing can be decoded there.
    """
    import imageio_ffmpeg

    width, height = size
    filters = [f"fps={fps:.6f}", f"scale={width}:{height}:flags=area"]
    seek = ["-ss", f"{start:.6f}"] if start else []
    limit = [] if seconds is None else ["-t", f"{seconds:.6f}"]
    reader = imageio_ffmpeg.read_frames(
        str(film.path), pix_fmt="rgb24", input_params=seek, output_params=[*limit, "-vf", ",".join(filters)]
    )
    count = 0
    try:
        next(reader)  # what ffmpeg says of the file
        for data in reader:
            count += 1
            yield np.frombuffer(data, np.uint8).reshape(height, width, 3)
    except (OSError, StopIteration, ValueError, RuntimeError):
        pass  # the end of what can be decoded
    finally:
        reader.close()
    if not count:
        raise InvalidInputError(f"{film.path.name} cannot be decoded as a film; remove or replace it.")


def sound_of(film: FilmInfo, start: float, seconds: float, rate: int) -> np.ndarray:
    """The sound of a film between two times: (2 samples) float, at `rate` samples per second."""
    import imageio_ffmpeg

    part = ["-ss", f"{start:.6f}", "-t", f"{seconds:.6f}", "-i", str(film.path), "-vn"]
    samples = ["-f", "f32le", "-ac", "2", "-ar", str(rate), "-"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", *part, *samples]
    heard = np.frombuffer(subprocess.run(command, capture_output=True, check=False).stdout, "<f4")
    return rearrange(heard[: len(heard) // 2 * 2].copy(), "(s c) -> c s", c=2)


def frame_at(film: FilmInfo, second: float, size: tuple[int, int]) -> np.ndarray:
    """The frame that is shown at a time. Raises InvalidInputError when it cannot be decoded."""
    return next(iter(frames_of(film, film.fps, size, start=second, seconds=2 / film.fps)))


def fitted(film: FilmInfo, short_side: int) -> tuple[int, int]:
    """Size (width, height) of the film with its shorter side at `short_side`, even, never enlarged."""
    scale = min(1.0, short_side / min(film.width, film.height))
    return tuple(max(2, 2 * round(side * scale / 2)) for side in (film.width, film.height))  # type: ignore[return-value]


def _said_by_ffmpeg(path: Path) -> str:
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-i", str(path)]
    try:
        said = subprocess.run(command, capture_output=True, timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        raise InvalidInputError(
            f"{path.name} could not be read in {PROBE_SECONDS} seconds; remove or replace it."
        ) from None
    return said.stderr.decode("utf-8", "replace")


def _seconds(text: str) -> float:
    found = re.search(r"Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)", text)
    return 0.0 if found is None else 3600 * int(found[1]) + 60 * int(found[2]) + float(found[3])
