"""Clips become a cache.

Latents are written as they come, in one pass, and no part is there before it is whole.

Shapes: latents (f c h w) float16, scaled as the UNet sees them; text (captions m e) float16; pooled (captions
p) float16.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...claims import sweep
from ...errors import InvalidInputError
from ...weights.whole_file import whole_file
from .cache import FORMAT, INDEX, LATENTS, VERSION, mapped, read_index
from .sealed import sealed_file

Embedded = tuple[Tensor, Tensor | None]  # text (captions m e), pooled (captions p)
HEADER = 192  # bytes before the numbers, kept free until their count is known


def write_cache(
    folder: str | os.PathLike, clips: Iterable[tuple[Tensor, str, float]], source: str = ""
) -> None:
    """Store clips: latents (f c h w), caption, fps. They are streamed to disk one by one.

    `source` names what made them; `is_current` compares it. Raises InvalidInputError for clips of different
    sizes or none, OutputError when the disk does not take them.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    captions, rates, offsets = [], [], [0]

    def latents_only() -> Iterator[Tensor]:
        for latents, caption, fps in clips:
            yield latents
            captions.append(caption)
            rates.append(float(fps))
            offsets.append(offsets[-1] + len(latents))
        if not captions:
            raise InvalidInputError("There are no clips to prepare; give a folder with videos and captions.")

    write_latents(folder / LATENTS, latents_only())
    write_index(folder, captions, offsets, rates, source)


def write_latents(path: Path, pieces: Iterable[Tensor]) -> int:
    """Write latents (f c h w) one piece after the other, and return how many frames they are.

    Raises InvalidInputError for pieces of different sizes, OutputError when the disk does not take them.
    """
    count, shape = 0, ()
    with sealed_file(path) as partial, partial.open("wb") as file:
        file.write(bytes(HEADER))
        for latents in pieces:
            if shape and tuple(latents.shape[1:]) != shape:
                raise InvalidInputError(
                    f"A clip has latents {tuple(latents.shape[1:])}, earlier ones {shape}; give all clips "
                    "one size."
                )
            shape = tuple(latents.shape[1:])
            file.write(latents.to(torch.float16).contiguous().numpy().tobytes())
            count += len(latents)
        file.seek(0)
        file.write(_npy_header((count, *shape)))
    return count


def write_index(
    folder: str | os.PathLike,
    captions: Sequence[str],
    offsets: Sequence[int],
    fps: Sequence[float],
    source: str = "",
    more: Mapping[str, Any] | None = None,
) -> None:
    """Describe latents that are already in the folder.

    One caption and frame rate per clip; offsets (clips + 1).

    `more` may have `files`, `sources` and `choices`, each with one entry a clip (see cache.py).
    """
    rows: dict[str, int] = {"": 0}
    ids = [rows.setdefault(caption, len(rows)) for caption in captions]
    more = dict(more or {})
    if "choices" in more:
        more["choices"] = [
            [[rows.setdefault(text, len(rows)), share] for text, share in clip] for clip in more["choices"]
        ]
    index = {"format": FORMAT, "version": VERSION, "source": source, "captions": list(rows)}
    index |= {"offsets": list(offsets), "caption_ids": ids, "fps": list(fps), **more}
    _replace_index(folder, index)


def add_captions(folder: str | os.PathLike, captions: Sequence[str]) -> None:
    """Make room for captions that no clip has as it is, such as those of clips played backwards."""
    index = read_index(folder)
    known = set(index["captions"])
    new = [caption for caption in dict.fromkeys(captions) if caption not in known]
    if new:
        _replace_index(folder, index | {"captions": [*index["captions"], *new]})


def _replace_index(folder: str | os.PathLike, index: dict[str, Any]) -> None:
    with whole_file(Path(folder) / INDEX) as partial:
        partial.write_text(json.dumps(index), "utf-8")


def write_captions(
    folder: str | os.PathLike, encoder: str, encode: Callable[[list[str]], Embedded], chunk: int = 64
) -> None:
    """Store the embedding of each caption under the encoder's name, unless it is there already and whole.

    A file beside it names the captions it was made of, and is only there where it is whole.
    """
    folder = Path(folder)
    sweep(folder)
    captions = read_index(folder)["captions"]
    paths = [folder / f"{kind}-{encoder}.npy" for kind in ("pooled", "text")]
    kept = [mapped(path) for path in paths if path.exists()]
    whole = all(rows is not None and len(rows) == len(captions) for rows in kept)
    made_of, name = paths[1].with_suffix(".captions"), _name_of(captions)
    if paths[1].exists() and whole and made_of.is_file() and made_of.read_bytes() == name:
        return
    made_of.unlink(missing_ok=True)
    chunks = [encode(captions[i : i + chunk]) for i in range(0, len(captions), chunk)]
    pooled = [rows for _, rows in chunks if rows is not None]
    for path, rows in zip(paths, (pooled, [text for text, _ in chunks]), strict=True):
        if rows:  # pooled first, so that a cache with text has both
            with sealed_file(path) as partial, partial.open("wb") as file:
                np.save(file, torch.cat(rows).to(torch.float16).numpy())
    with whole_file(made_of) as partial:
        partial.write_bytes(name)


def _name_of(captions: Sequence[str]) -> bytes:
    """Short name of captions in their order."""
    return hashlib.sha256(json.dumps(captions).encode()).hexdigest().encode()


def _npy_header(shape: tuple[int, ...]) -> bytes:
    """The beginning of a .npy file of float16 numbers, always of one length."""
    text = str({"descr": "<f2", "fortran_order": False, "shape": shape})
    start = b"\x93NUMPY\x01\x00" + struct.pack("<H", HEADER - 10)
    return start + text.ljust(HEADER - len(start) - 1).encode("ascii") + b"\n"
