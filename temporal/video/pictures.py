"""A film as a folder of pictures, written one by one."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import numpy as np
from einops import rearrange
from torch import Tensor

from .formats import Format, import_openexr
from .notes import png_chunk, png_chunks
from .pixels import linear_light, whole_numbers
from .sound import Sound

NAME = "frame_{:06d}{}"
COLOUR_TYPES = {3: 2, 4: 6}  # of PNG, by how many numbers a pixel has
PNG_LEVEL = 4  # of zlib, as the host's Save Image
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)  # x and y of red, green, blue and white


class PictureFolder:
    """A film on its way into a folder, as a context manager; `frame_000000` is the first."""

    def __init__(
        self,
        path: Path,
        format: Format,
        frame_rate: Fraction,
        notes: Mapping[str, str],
        sound: Sound | None,
    ) -> None:
        self.path, self.format, self.frame_rate, self.notes = path, format, frame_rate, notes
        self.count = 0
        path.mkdir()
        if sound is not None:
            sound.write_wav(path / "sound.wav")

    def __enter__(self) -> PictureFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open between two pictures."""

    def write(self, frame: Tensor) -> None:
        """Write one frame (1 h w 3), or a transparent one (1 h w 4)."""
        path = self.path / NAME.format(self.count, self.format.suffix)
        if self.format.suffix == ".exr":
            self._write_exr(path, linear_light(frame)[0])
        else:
            path.write_bytes(as_png(whole_numbers(frame, self.format.depth)[0], self.notes))
        self.count += 1

    def finish(self, check: Callable[[], None]) -> None:
        """Nothing remains to be done after the last frame."""
        check()

    def _write_exr(self, path: Path, pixels: np.ndarray) -> None:
        openexr = import_openexr()
        header = {
            "compression": openexr.ZIP_COMPRESSION,
            "type": openexr.scanlineimage,
            "chromaticities": REC709,
            "framesPerSecond": self.frame_rate,
            **self.notes,
        }
        try:
            openexr.File(header, {"RGBA"[: pixels.shape[-1]]: np.ascontiguousarray(pixels)}).write(str(path))
        except RuntimeError as error:  # the library's own error for a file that cannot be written
            raise OSError(str(error)) from None


def as_png(pixels: np.ndarray, notes: Mapping[str, str]) -> bytes:
    """A PNG of uint8 or uint16 pixels (h w 3), or (h w 4) with transparency.

    Each row is stored as its difference to the one above (filter "Up"). Written out here because Pillow holds
    no colour of 16 bits (W3C PNG specification, sections 5, 9 and 11).
    """
    height, width, channels = pixels.shape
    depth = 8 * pixels.itemsize
    rows = rearrange(pixels.astype(pixels.dtype.newbyteorder(">")), "h w c -> h (w c)").view(np.uint8)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    filtered[1:, 1:] = rows[1:] - rows[:-1]
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header = png_chunk(b"IHDR", size + bytes([depth, COLOUR_TYPES[channels], 0, 0, 0])) + png_chunk(
        b"sRGB", b"\0"
    )
    body = png_chunk(b"IDAT", zlib.compress(filtered.tobytes(), PNG_LEVEL))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunks(notes) + body + png_chunk(b"IEND", b"")
