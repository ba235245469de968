"""A long clip on disk, segment by segment: what is finished survives whatever happens to the process.

Shapes: f frames, c h w a latent.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from ..errors import CheckpointFormatError, InvalidInputError
from ..weights.files import read_weights, write_weights

LATENTS = "latents"


def digest(*parts: str | bytes | Tensor) -> str:
    """Fingerprint of everything a segment depends on; equal on every run and machine."""
    *_, total = _digests(*parts)
    return total


def _digests(*parts: str | bytes | Tensor) -> Iterator[str]:
    """The fingerprint of nothing, of the first part, of the first two, and so on."""
    total = hashlib.sha256()
    yield total.hexdigest()
    for part in parts:
        if isinstance(part, Tensor):
            part = (
                f"{part.dtype} {tuple(part.shape)}".encode()
                + part.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()
            )
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
        yield total.hexdigest()


class Rollout:
    """The finished segments of one clip in a folder; each file's name holds the fingerprint of how it was made.

    Raises:
        InvalidInputError: the folder cannot be made or written to, or the disk is full. Nothing finished is lost.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with self._writing():
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()

    def path(self, number: int, fingerprint: str) -> Path:
        """File of a segment, counted from 1."""
        return self.folder / f"segment_{number:05d}_{fingerprint[:16]}.safetensors"

    def load(self, number: int, fingerprint: str, former: str | None = None) -> Tensor | None:
        """A finished segment (f c h w), None when it is not there or cannot be read.

        One that is there under a `former` fingerprint is taken over: it gets the new one.
        """
        path = self.path(number, fingerprint)
        if not path.is_file():
            before = path if former is None else self.path(number, former)
            if not before.is_file():
                return None
            with self._writing():
                before.replace(path)
        try:
            return read_weights(path).tensors[LATENTS].clone()
        except (CheckpointFormatError, KeyError):
            return None

    def save(self, number: int, fingerprint: str, latents: Tensor) -> None:
        """Write a segment in one step: a file is complete or not there."""
        with self._writing():
            write_weights(self.path(number, fingerprint), {LATENTS: latents}, {"format": "video_ldm.segment"})

    def join(self, start: Tensor, segments: Sequence[tuple[int, str]]) -> Tensor:
        """The whole clip (f c h w): frames `start`, then the segments; the memory of it is the file, not the process.

        Files of the same clip with fewer segments are removed: they can be joined again.
        """
        _, *shorter, path = (
            self.folder / f"clip_{key[:16]}.latents" for key in _digests(start, *(key for _, key in segments))
        )
        frames = self._lengths(segments)
        shape = (len(start) + sum(frames), *start.shape[1:])
        if not path.is_file() or path.stat().st_size != 4 * prod(shape):
            with self._writing():
                _write_raw(path, self._parts(start, segments))
        for old in shorter:
            with suppress(OSError):  # Windows keeps a file that a clip in memory still lies on
                old.unlink(missing_ok=True)
        return torch.from_file(str(path), shared=False, size=prod(shape), dtype=torch.float32).reshape(shape)

    def _lengths(self, segments: Sequence[tuple[int, str]]) -> list[int]:
        return [len(read_weights(self.path(*segment)).tensors[LATENTS]) for segment in segments]

    def _parts(self, start: Tensor, segments: Sequence[tuple[int, str]]) -> Iterator[Tensor]:
        yield start
        for segment in segments:
            yield read_weights(self.path(*segment)).tensors[LATENTS]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, SafetensorError) as error:
            raise InvalidInputError(
                f"Nothing can be written to {self.folder}: {error}. Free space on the disk or choose another folder, then "
                "queue the graph again; segments that are finished are kept and used."
            ) from error


def _write_raw(path: Path, parts: Iterable[Tensor]) -> None:
    """Float32 of all parts one after the other, moved into place when complete."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part.float().contiguous().numpy().tobytes())
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)
