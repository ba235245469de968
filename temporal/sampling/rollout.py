"""A long clip on disk, segment by segment: what is finished survives whatever happens to the process.

Shapes: f frames, c h w a latent.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from ..claims import sweep
from ..errors import InvalidInputError
from ..finite import is_finite
from ..weights.files import write_weights

LATENTS = "latents"
CHECKSUM = "checksum"
LARGEST_HEADER = 2**16  # bytes


def digest(*parts: str | bytes | Tensor) -> str:
    """Fingerprint of everything a segment depends on; equal on every run and machine."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, Tensor):
            numbers = part.cpu().contiguous().flatten().view(torch.uint8).numpy()
            pieces = [f"{part.dtype} {tuple(part.shape)}".encode(), numbers.data]
        else:
            pieces = [part.encode() if isinstance(part, str) else part]
        total.update(sum(map(len, pieces)).to_bytes(8, "big"))
        for piece in pieces:
            total.update(piece)
    return total.hexdigest()


class Damage(ValueError):
    """Fault of the file of a segment, in words that follow the file's name."""


class Rollout:
    """The finished segments of one clip in a folder.

    Each file's name holds the fingerprint of how it was made.

    What a file holds is checked before it is used; `tell` gets one sentence for each that is damaged.
    Raises:
        InvalidInputError: the folder cannot be made or written to, or the disk is full. Nothing finished is
            lost.
    """

    def __init__(self, folder: Path, tell: Callable[[str], None] = lambda sentence: None) -> None:
        self.folder, self.tell = folder, tell
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
            sweep(folder)

    def path(self, number: int, fingerprint: str) -> Path:
        """File of a segment, counted from 1."""
        return self.folder / f"segment_{number:05d}_{fingerprint[:16]}.safetensors"

    def load(
        self, number: int, fingerprint: str, shape: Sequence[int], former: str | None = None
    ) -> Tensor | None:
        """A finished segment of a shape (f c h w), None where it cannot be used.

        That is when it is not there, cannot be read, or is not what was written.

        One that is there under a `former` fingerprint is taken over: it gets the new one.
        """
        for key in (fingerprint, *([] if former is None else [former])):
            path = self.path(number, key)
            if not path.is_file():
                continue
            try:
                latents = _read(path, key, tuple(shape))
            except Damage as damage:
                self.tell(
                    f"The file of segment {number} in {self.folder} {damage}; the segment is made again."
                )
                return None
            if key != fingerprint:
                self.save(number, fingerprint, latents)
                with self._writing():
                    path.unlink(missing_ok=True)
            return latents
        return None

    def save(self, number: int, fingerprint: str, latents: Tensor) -> None:
        """Write a segment in one step: a file is complete or not there.

        Raises InvalidInputError for numbers that are none, which would be handed on from segment to segment.
        """
        if not is_finite(latents):
            raise InvalidInputError(
                f"Segment {number} came out with values that are not numbers (NaN or infinite), and was not "
                "kept. Lower cfg, or start ComfyUI with --fp32-unet if the model runs in half precision."
            )
        notes = {"format": "video_ldm.segment", CHECKSUM: digest(fingerprint, latents)}
        with self._writing():
            write_weights(self.path(number, fingerprint), {LATENTS: latents}, notes)

    def join(self, start: Tensor, segments: Sequence[tuple[int, str, int]]) -> Tensor:
        """The whole clip (f c h w).

        Frames `start`, then the segments, by number, fingerprint and how many frames they have.

        Its memory is a file, not the process: one without a name, which nobody can shorten, and which is gone
        with the clip.
        """
        with self._writing(), tempfile.TemporaryFile(dir=self.folder) as file:
            file.write(_raw(start))
            for number, key, length in segments:
                file.write(_raw(self._again(number, key, (length, *start.shape[1:]))))
            file.flush()
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        shape = (len(start) + sum(length for *_, length in segments), *start.shape[1:])
        return torch.frombuffer(memory, dtype=torch.float32, count=prod(shape)).reshape(shape)

    def _again(self, number: int, key: str, shape: tuple[int, ...]) -> Tensor:
        try:
            return _read(self.path(number, key), key, shape)
        except Damage as damage:
            raise InvalidInputError(
                f"The file of segment {number} in {self.folder} {damage}, though it was whole a moment "
                "ago. Queue the graph again; only this segment is made anew."
            ) from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, SafetensorError) as error:
            raise InvalidInputError(
                f"Nothing can be written to {self.folder}: {error}. Free space on the disk or choose "
                "another folder, then queue the graph again; segments that are finished are kept and used."
            ) from error


def _read(path: Path, fingerprint: str, shape: tuple[int, ...]) -> Tensor:
    """Latents of a file, read as a whole and never mapped: whoever shortens it meanwhile does no harm.

    Raises Damage.

    Files from before there were checksums have only their shape and numbers checked.
    """
    try:
        if path.stat().st_size > 4 * prod(shape) + LARGEST_HEADER:
            raise Damage("is larger than the segment")
        data = path.read_bytes()
        latents, notes = load(data)[LATENTS], _notes(data)
    except (OSError, SafetensorError, KeyError, struct.error):
        raise Damage("cannot be read") from None
    if latents.shape != shape or latents.dtype != torch.float32:
        kind = str(latents.dtype).removeprefix("torch.")
        raise Damage(f"holds {tuple(latents.shape)} numbers of {kind} where {shape} of float32 were written")
    if not is_finite(latents):
        raise Damage("holds values that are not numbers")
    if CHECKSUM in notes and notes[CHECKSUM] != digest(fingerprint, latents):
        raise Damage("does not hold what was written")
    return latents


def _notes(data: bytes) -> dict[str, str]:
    """Notes of a safetensors file: its header is JSON after eight bytes that say how long it is."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]).get("__metadata__", {})


def _raw(part: Tensor) -> bytes:
    return part.float().contiguous().numpy().tobytes()
