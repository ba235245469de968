"""Clips prepared for training: latents and text embeddings in memory-mapped files.

A cache is a folder: `latents.npy` (all frames of all clips, one after the other), `index.json`, written last, so that
a folder with an index is complete, and `text-ENCODER.npy` for each text encoder that was used on it (one row per unique
caption, row 0 the empty one), with `pooled-ENCODER.npy` beside it where the image model wants that too (SDXL).

Shapes: latents (frames c h w) float16, scaled as the UNet sees them; text (captions m e) float16; pooled (captions p) float16.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import CheckpointFormatError, InvalidInputError

Embedded = tuple[Tensor, Tensor | None]  # text (captions m e), pooled (captions p)

FORMAT = "video_ldm.clip_cache"
VERSION = 1
INDEX, LATENTS = "index.json", "latents.npy"


@dataclass(frozen=True)
class ClipCache:
    """Clips with captions. `offsets` (clips + 1) frame positions; `caption_ids` (clips,) rows of `text`; `fps` (clips,)."""

    latents: np.ndarray
    text: np.ndarray
    captions: tuple[str, ...]
    offsets: np.ndarray
    caption_ids: np.ndarray
    fps: np.ndarray
    pooled: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.caption_ids)

    def clip(self, index: int, frames: slice | np.ndarray = slice(None)) -> Tensor:
        """Latents of one clip (f c h w) float32."""
        whole = self.latents[self.offsets[index] : self.offsets[index + 1]]
        return torch.from_numpy(np.asarray(whole[frames], dtype=np.float32))

    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def embedding(self, caption_ids: Sequence[int]) -> Tensor:
        """Text embeddings (b m e) float32; row 0 is the empty caption."""
        return torch.from_numpy(np.asarray(self.text[list(caption_ids)], dtype=np.float32))

    def pooled_embedding(self, caption_ids: Sequence[int]) -> Tensor | None:
        """Pooled text embeddings (b p) float32, None for image models that have no use for them."""
        if self.pooled is None:
            return None
        return torch.from_numpy(np.asarray(self.pooled[list(caption_ids)], dtype=np.float32))


def write_cache(
    folder: str | os.PathLike, clips: Iterable[tuple[Tensor, str, float]], source: str = ""
) -> None:
    """Store clips: latents (f c h w), caption, fps. They are streamed to disk one by one.

    `source` names what made them; `is_current` compares it.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    captions, rates, offsets, shape = [], [], [0], None
    raw = folder / "latents.raw"
    with raw.open("wb") as file:
        for latents, caption, fps in clips:
            if shape is not None and tuple(latents.shape[1:]) != shape:
                raise InvalidInputError(
                    f"A clip has latents {tuple(latents.shape[1:])}, earlier ones {shape}; give all clips one size."
                )
            shape = tuple(latents.shape[1:])
            file.write(latents.to(torch.float16).contiguous().numpy().tobytes())
            captions.append(caption)
            rates.append(float(fps))
            offsets.append(offsets[-1] + len(latents))
    if not captions:
        raise InvalidInputError("There are no clips to prepare; give a folder with videos and captions.")
    _as_npy(raw, folder / LATENTS, (offsets[-1], *shape))
    write_index(folder, captions, offsets, rates, source)


def write_index(
    folder: str | os.PathLike,
    captions: Sequence[str],
    offsets: Sequence[int],
    fps: Sequence[float],
    source: str = "",
) -> None:
    """Describe latents that are already in the folder: one caption and frame rate per clip, offsets (clips + 1)."""
    rows: dict[str, int] = {"": 0}
    ids = [rows.setdefault(caption, len(rows)) for caption in captions]
    index = {"format": FORMAT, "version": VERSION, "source": source, "captions": list(rows)}
    index |= {"offsets": list(offsets), "caption_ids": ids, "fps": list(fps)}
    temporary = Path(folder) / (INDEX + ".partial")
    temporary.write_text(json.dumps(index), "utf-8")
    temporary.replace(Path(folder) / INDEX)


def write_captions(
    folder: str | os.PathLike, encoder: str, encode: Callable[[list[str]], Embedded], chunk: int = 64
) -> None:
    """Store what `encode` makes of each unique caption under the encoder's name, unless it is there already."""
    folder = Path(folder)
    captions = read_index(folder)["captions"]
    path = folder / f"text-{encoder}.npy"
    if path.is_file() and len(np.load(path, mmap_mode="r")) == len(captions):
        return
    chunks = [encode(captions[i : i + chunk]) for i in range(0, len(captions), chunk)]
    pooled = [rows for _, rows in chunks if rows is not None]
    if pooled:  # first, so that a cache with text has both
        _save(folder / f"pooled-{encoder}.npy", pooled)
    _save(path, [text for text, _ in chunks])


def is_current(folder: str | os.PathLike, source: str) -> bool:
    """Whether the folder holds a complete cache that the same source made."""
    return (Path(folder) / INDEX).is_file() and read_index(folder).get("source") == source


def read_index(folder: str | os.PathLike) -> dict[str, Any]:
    """The description of a cache; raises CheckpointFormatError when there is none or it is of another version."""
    try:
        index = json.loads((Path(folder) / INDEX).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointFormatError(
            f"{folder} holds no complete clip cache ({error}); prepare it again."
        ) from None
    if index.get("format") != FORMAT or index.get("version") != VERSION:
        raise CheckpointFormatError(f"{folder} holds no clip cache of version {VERSION}; prepare it again.")
    return index


def open_cache(folder: str | os.PathLike, encoder: str) -> ClipCache:
    """Map a prepared cache into memory; raises CheckpointFormatError when its parts do not fit together."""
    folder = Path(folder)
    index = read_index(folder)
    try:
        latents = np.load(folder / LATENTS, mmap_mode="r")
        text = np.load(folder / f"text-{encoder}.npy", mmap_mode="r")
    except (OSError, ValueError) as error:
        raise CheckpointFormatError(
            f"{folder} holds no complete clip cache ({error}); prepare it again."
        ) from None
    latents = latents.reshape(-1, *latents.shape[-3:])
    if index["offsets"][-1] > len(latents) or len(index["captions"]) != len(text):
        raise CheckpointFormatError(
            f"The parts of the clip cache in {folder} do not fit together; prepare it again."
        )
    arrays = (np.asarray(index[name]) for name in ("offsets", "caption_ids", "fps"))
    path = folder / f"pooled-{encoder}.npy"
    pooled = np.load(path, mmap_mode="r") if path.is_file() else None
    return ClipCache(latents, text, tuple(index["captions"]), *arrays, pooled)


def _save(path: Path, rows: list[Tensor]) -> None:
    temporary = path.with_name("text.partial.npy")
    np.save(temporary, torch.cat(rows).to(torch.float16).numpy())
    temporary.replace(path)


def _as_npy(raw: Path, path: Path, shape: tuple[int, ...]) -> None:
    """Put the header of a .npy file in front of raw float16 values without reading them at once."""
    source = np.memmap(raw, dtype=np.float16, mode="r", shape=shape)
    target = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
    for start in range(0, shape[0], 4096):
        target[start : start + 4096] = source[start : start + 4096]
    target.flush()
    del source, target
    raw.unlink()
