"""Formats of films, one row each, and what each of them cannot hold."""

from __future__ import annotations

import functools
import re
import subprocess
from collections.abc import Callable, Container
from dataclasses import dataclass
from types import ModuleType

from ..errors import InvalidInputError

EIGHT = range(1, 9)
OPUS = (1, 2, 5, 6, 7, 8)  # what its mapping of speakers knows, as of ffmpeg
ANY = range(1, 65)
QUALITIES = (0, 50, 80, 100)  # at which sizes were measured


@dataclass(frozen=True)
class Format:
    """One choice of format.

    `encoder`, `muxer`, `pixels` and `options` are ffmpeg's; a format without an encoder is a folder of
    pictures. `clear_pixels` are those of a film with transparency, where it can have one. `grid` is what
    width and height are padded to a multiple of. `sound` is ffmpeg's audio encoder, "wav" for a file of its
    own beside the pictures, None when there is no place for sound; `channels` are those that it can hold.
    `bits` is the size per pixel and frame of a drawn clip with grain, measured by benchmarks/films/sizes.py:
    smooth clips are smaller, rich texture is larger, pure noise the largest.
    """

    name: str
    suffix: str
    depth: int
    bits: Callable[[int], float]
    encoder: str = ""
    muxer: str = ""
    pixels: str = ""
    options: Callable[[int], list[str]] = lambda quality: []
    grid: tuple[int, int] = (1, 1)
    sides: tuple[int, int] = (1, 65535)
    max_fps: float = 1000.0
    sound: str | None = None
    channels: Container[int] = range(0)
    clear_pixels: str = ""
    plays: bool = False  # in the editor, which gives a browser every film that is not webp as a video

    @property
    def is_sequence(self) -> bool:
        """True if the film is a folder of pictures."""
        return not self.encoder

    @property
    def holds_transparency(self) -> bool:
        """True if frames may be more or less transparent."""
        return self.is_sequence or bool(self.clear_pixels)


def rate(worst: int, best: int, *options: str) -> Callable[[int], list[str]]:
    """ffmpeg options for a constant quality; 0..100 is mapped to the codec's own scale."""
    return lambda quality: ["-crf", str(round(worst + (best - worst) * quality / 100)), *options]


def measured(*sizes: float) -> Callable[[int], float]:
    """Bits per pixel and frame of a lossy codec at the qualities of `QUALITIES`.

    Between them they are interpolated in even steps of their logarithm.
    """

    def bits(quality: int) -> float:
        after = next(index for index, known in enumerate(QUALITIES) if quality <= known) or 1
        low, high = QUALITIES[after - 1 : after + 1]
        share = (quality - low) / (high - low)
        return sizes[after - 1] ** (1 - share) * sizes[after] ** share

    return bits


def constant(bits: float) -> Callable[[int], float]:
    """Bits per pixel and frame that do not depend on the quality."""
    return lambda quality: bits


def _webp(quality: int) -> list[str]:
    if quality == 100:
        return ["-lossless", "1", "-loop", "0"]
    return ["-quality", str(quality), "-loop", "0"]


_FORMATS = (
    Format(
        "mp4 (H.264)",
        ".mp4",
        8,
        measured(0.0104, 0.0164, 0.427, 1.96),
        *("libx264", "mp4", "yuv420p", rate(40, 12, "-preset", "medium")),
        grid=(2, 2),
        sides=(2, 16384),
        sound="aac",
        channels=EIGHT,
        plays=True,
    ),
    Format(
        "mp4 (H.265 10 bit)",
        ".mp4",
        16,
        measured(0.0124, 0.0165, 0.127, 1.02),
        *("libx265", "mp4", "yuv420p10le"),
        rate(42, 14, "-preset", "medium", "-tag:v", "hvc1", "-x265-params", "log-level=error"),
        grid=(2, 2),
        sides=(16, 16384),
        sound="aac",
        channels=EIGHT,
    ),
    Format(
        "webm (VP9)",
        ".webm",
        8,
        measured(0.0063, 0.0433, 0.234, 0.695),
        *("libvpx-vp9", "webm", "yuv420p", rate(55, 15, "-b:v", "0", "-row-mt", "1", "-cpu-used", "4")),
        grid=(2, 2),
        sides=(2, 65535),
        sound="libopus",
        channels=OPUS,
        clear_pixels="yuva420p",
        plays=True,
    ),
    Format(
        "webm (AV1)",
        ".webm",
        16,
        measured(0.0057, 0.0111, 0.0208, 0.182),
        *("libsvtav1", "webm", "yuv420p10le", rate(60, 16, "-preset", "8")),
        grid=(2, 2),
        sides=(2, 16384),
        sound="libopus",
        channels=OPUS,
        plays=True,
    ),
    Format(
        "mov (ProRes 422 HQ)",
        ".mov",
        16,
        constant(6.1),
        *("prores_ks", "mov", "yuv422p10le", lambda quality: ["-profile:v", "3", "-vendor", "apl0"]),
        grid=(2, 1),
        sides=(2, 65535),
        sound="pcm_s16le",
        channels=ANY,
    ),
    Format(
        "mov (ProRes 4444)",
        ".mov",
        16,
        constant(9.0),
        *("prores_ks", "mov", "yuv444p10le"),
        lambda quality: ["-profile:v", "4", "-vendor", "apl0", "-alpha_bits", "16"],
        sides=(2, 65535),
        sound="pcm_s16le",
        channels=ANY,
        clear_pixels="yuva444p10le",
    ),
    Format(
        "mkv (FFV1 lossless 10 bit)",
        ".mkv",
        16,
        constant(20.0),
        *("ffv1", "matroska", "gbrp10le", lambda quality: ["-level", "3", "-g", "1", "-slicecrc", "1"]),
        sound="flac",
        channels=EIGHT,
        clear_pixels="gbrap10le",
    ),
    Format(
        "gif",
        ".gif",
        8,
        constant(9.9),
        *("gif", "gif", "pal8", lambda quality: ["-loop", "0"]),
        max_fps=50.0,
    ),
    Format(
        "webp (animated)",
        ".webp",
        8,
        lambda quality: 13.0 if quality == 100 else measured(0.0257, 0.123, 0.301, 1.0)(quality),
        *("libwebp_anim", "webp", "bgra", _webp),
        sides=(1, 16383),
        clear_pixels="bgra",
        plays=True,
    ),
    Format("png sequence (8 bit)", ".png", 8, constant(15.4), sound="wav", channels=ANY),
    Format("png sequence (16 bit)", ".png", 16, constant(42.6), sound="wav", channels=ANY),
    Format("exr sequence (half float, linear)", ".exr", 32, constant(29.7), sound="wav", channels=ANY),
)
FORMATS = {format.name: format for format in _FORMATS}


def format_named(name: str) -> Format:
    """The format of a name; raises InvalidInputError for a name that is none."""
    if name not in FORMATS:
        raise InvalidInputError(
            f"The format {name!r} is unknown; choose one of {', '.join(FORMATS)}. A graph made with "
            "another version of the pack may hold an old name."
        )
    return FORMATS[name]


def check_film(format: Format, width: int, height: int, fps: float, quality: int, channels: int) -> None:
    """Refuse what a format cannot hold, before anything is decoded; `channels` of sound, 0 without any.

    Raises InvalidInputError for a size, frame rate, quality or sound outside the format's limits, and when
    this computer has no encoder for it.
    """
    low, high = format.sides
    if not (low <= min(width, height) and max(width, height) <= high):
        raise InvalidInputError(
            f"The film is {width} x {height}, but {format.name} holds {low} to {high} pixels a side. Scale "
            "the frames, or choose another format."
        )
    if not 0 < fps <= format.max_fps:
        raise InvalidInputError(
            f"The film has {fps:g} frames per second, but {format.name} plays more than 0 and at most "
            f"{format.max_fps:g}. Set fps, or choose another format."
        )
    if not 0 <= quality <= 100:
        raise InvalidInputError(f"The quality is {quality}; give a number from 0 (smallest) to 100 (best).")
    if channels and format.sound is None:
        raise InvalidInputError(
            f"{format.name} has no place for sound. Disconnect audio, or choose mp4, webm, mov or mkv."
        )
    if channels and channels not in format.channels:
        known = ", ".join(str(count) for count in ANY if count in format.channels)
        raise InvalidInputError(
            f"The sound has {channels} channels, but {format.name} holds {known}. Make it stereo, or "
            "choose another format."
        )
    if format.encoder:
        check_encoder(format.encoder, format.name)
    if format.suffix == ".exr":
        import_openexr()


def check_encoder(encoder: str, name: str) -> None:
    """Refuse an encoder that this computer's ffmpeg does not have."""
    if encoder not in encoders(executable()):
        raise InvalidInputError(
            f"{name} needs the encoder {encoder}, which the ffmpeg at {executable()} does not have. Choose "
            "another format, or update the Python package imageio-ffmpeg, or set IMAGEIO_FFMPEG_EXE to an "
            "ffmpeg that has it."
        )


def executable() -> str:
    """The ffmpeg that imageio-ffmpeg brings, or the one the user named in IMAGEIO_FFMPEG_EXE."""
    import imageio_ffmpeg

    return imageio_ffmpeg.get_ffmpeg_exe()


@functools.cache
def encoders(ffmpeg: str) -> frozenset[str]:
    """Names of the encoders of an ffmpeg."""
    command = [ffmpeg, "-hide_banner", "-encoders"]
    try:
        listing = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return frozenset()  # it cannot even be started
    return frozenset(re.findall(r"^ [VAS][A-Z.]{5} (\S+)", listing, re.MULTILINE))


def import_openexr() -> ModuleType:
    """The optional library OpenEXR; raises InvalidInputError with what to install when it is absent."""
    try:
        import OpenEXR
    except ImportError:
        raise InvalidInputError(
            "An exr sequence needs the Python package OpenEXR, which is not installed. Run `pip install "
            "OpenEXR` in ComfyUI's Python, or choose the 16-bit png sequence."
        ) from None
    return OpenEXR
