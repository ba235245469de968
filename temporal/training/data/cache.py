"""Clips prepared for training: latents and text embeddings in memory-mapped files (`preparing` writes them).

A cache is a folder: `latents.npy` (all frames of all clips, one after the other), `index.json`, written last,
so that a folder with an index is complete, and `text-ENCODER.npy` for each text encoder that was used on it
(one row per unique caption, row 0 the empty one), with `pooled-ENCODER.npy` beside it where the image model
wants that too (SDXL), and `text-ENCODER.captions`, which names the captions of the rows. Each large file has
a seal. Latents may also be in one file a clip, which the index then names (`files`), with the film that each
clip is of (`sources`) and all its captions with their shares (`choices`).

Shapes: latents (frames c h w) float16, scaled as the UNet sees them; text (captions m e) float16; pooled
(captions p) float16.
"""

from __future__ import annotations

import hashlib
import json
import os
import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import CheckpointFormatError
from ...weights.pickles import PARSER_ERRORS
from .sealed import is_sound

FORMAT = "video_ldm.clip_cache"
VERSION = 1
INDEX, LATENTS = "index.json", "latents.npy"
NPY_ERRORS = (*PARSER_ERRORS, SyntaxError, tokenize.TokenError)  # what damage does to numpy's reader


class ClipFiles:
    """Latents of clips in one file each: as an array of all their frames, but indexed by clip."""

    def __init__(self, paths: Sequence[Path], shape: tuple[int, ...]) -> None:
        self.paths, self.shape = tuple(paths), shape

    @classmethod
    def opened(cls, paths: Sequence[Path], lengths: np.ndarray) -> ClipFiles | None:
        """Files of so many frames each; None where one is missing, damaged or of another size."""
        arrays = [array for array in map(mapped, paths) if array is not None and array.ndim == 4]
        sizes = {array.shape[1:] for array in arrays}
        if len(arrays) != len(paths) or len(sizes) != 1:
            return None
        if [len(array) for array in arrays] != lengths.tolist():
            return None
        return cls(paths, (int(lengths.sum()), *sizes.pop()))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, clip: int) -> np.ndarray:
        """Latents of one clip (f c h w), mapped into memory."""
        return np.load(self.paths[clip], mmap_mode="r")


@dataclass(frozen=True)
class ClipCache:
    """Clips with captions.

    `offsets` (clips + 1) frame positions; `caption_ids` (clips,) rows of `text`; `fps` (clips,).
    """

    latents: np.ndarray | ClipFiles
    text: np.ndarray
    captions: tuple[str, ...]
    offsets: np.ndarray
    caption_ids: np.ndarray
    fps: np.ndarray
    pooled: np.ndarray | None = None
    sources: tuple[str, ...] = ()  # the film of each clip; none: each is of its own
    choices: tuple[tuple[tuple[int, float], ...], ...] = ()  # rows of its captions, and their shares

    def __len__(self) -> int:
        return len(self.caption_ids)

    @property
    def num_frames(self) -> int:
        """Frames of all clips together."""
        return len(self.latents)

    def clip(self, index: int, frames: slice | np.ndarray = slice(None)) -> Tensor:
        """Latents of one clip (f c h w) float32."""
        if isinstance(self.latents, ClipFiles):
            whole = self.latents[index]
        else:
            whole = self.latents[self.offsets[index] : self.offsets[index + 1]]
        return torch.from_numpy(np.asarray(whole[frames], dtype=np.float32))

    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def embedding(self, caption_ids: Sequence[int] | np.ndarray) -> Tensor:
        """Text embeddings (b m e) float32; row 0 is the empty caption."""
        return torch.from_numpy(np.asarray(self.text[list(caption_ids)], dtype=np.float32))

    def pooled_embedding(self, caption_ids: Sequence[int] | np.ndarray) -> Tensor | None:
        """Pooled text embeddings (b p) float32, None for image models that have no use for them."""
        if self.pooled is None:
            return None
        return torch.from_numpy(np.asarray(self.pooled[list(caption_ids)], dtype=np.float32))


def data_hash(clips: ClipCache) -> str:
    """Short name of what was trained on: captions, rates, lengths, and the ends of every clip."""
    digest = hashlib.sha256(json.dumps([clips.captions, *map(np.ndarray.tolist, _rows(clips))]).encode())
    for index in range(len(clips)):
        digest.update(clips.clip(index, np.array([0, -1])).numpy().tobytes())
    return digest.hexdigest()[:16]


def is_current(folder: str | os.PathLike, source: str) -> bool:
    """True if the folder holds a whole cache that the same source made."""
    try:
        index = read_index(folder)
        return index.get("source") == source and _latents(Path(folder), index) is not None
    except CheckpointFormatError:
        return False


def read_index(folder: str | os.PathLike) -> dict[str, Any]:
    """The description of a cache.

    Raises CheckpointFormatError when there is none, or it is damaged or of another version.
    """
    try:
        index = json.loads((Path(folder) / INDEX).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _incomplete(folder, error) from None
    if not isinstance(index, dict) or index.get("format") != FORMAT or index.get("version") != VERSION:
        raise _incomplete(folder, f"its index is none of version {VERSION}")
    if not _is_index(index):
        raise _incomplete(folder, "its index is damaged")
    return index


def open_cache(folder: str | os.PathLike, encoder: str) -> ClipCache:
    """Map a prepared cache into memory.

    Raises CheckpointFormatError when a part is missing or damaged, or does not fit.
    """
    folder = Path(folder)
    index = read_index(folder)
    latents, text = _latents(folder, index), mapped(folder / f"text-{encoder}.npy")
    if latents is None or text is None:
        raise _incomplete(folder, f"{LATENTS if latents is None else 'a text file'} is missing or damaged")
    if text.ndim != 3 or len(index["captions"]) != len(text):
        raise _incomplete(folder, "its parts do not fit together")
    path = folder / f"pooled-{encoder}.npy"
    pooled = mapped(path) if path.exists() else None
    if path.exists() and (pooled is None or pooled.ndim != 2 or len(pooled) != len(text)):
        raise _incomplete(folder, "its parts do not fit together")
    offsets, caption_ids, fps = (np.asarray(index[name]) for name in ("offsets", "caption_ids", "fps"))
    choices = tuple(
        tuple((int(row), float(share)) for row, share in clip) for clip in index.get("choices", ())
    )
    sources = tuple(index.get("sources", ()))
    return ClipCache(
        latents, text, tuple(index["captions"]), offsets, caption_ids, fps, pooled, sources, choices
    )


def mapped(path: Path) -> np.ndarray | None:
    """Numbers of a .npy file, mapped into memory; None where it is missing or damaged."""
    if not is_sound(path):
        return None
    try:
        array = np.load(path, mmap_mode="r")
    except NPY_ERRORS:
        return None
    return array if isinstance(array, np.ndarray) and array.dtype.kind == "f" else None


def _rows(clips: ClipCache) -> tuple[np.ndarray, ...]:
    return clips.offsets, clips.caption_ids, clips.fps


def _latents(folder: Path, index: dict[str, Any]) -> np.ndarray | ClipFiles | None:
    """Latents of all clips (frames c h w), None where they are missing or damaged.

    They count as missing where there are fewer than the index says.
    """
    if "files" in index:
        return ClipFiles.opened([folder / name for name in index["files"]], np.diff(index["offsets"]))
    latents = mapped(folder / LATENTS)
    if latents is None or latents.ndim < 4 or 0 in latents.shape:
        return None
    latents = latents.reshape(-1, *latents.shape[-3:])
    return latents if index["offsets"][-1] <= len(latents) else None


def _is_index(index: dict[str, Any]) -> bool:
    """True if a description has what a cache needs, and numbers that can be right."""
    parts = [index.get(key) for key in ("captions", "offsets", "caption_ids", "fps")]
    lists = [part for part in parts if isinstance(part, list)]
    if len(lists) < len(parts):
        return False
    captions, offsets, ids, fps = lists
    whole = all(type(number) is int for number in (*offsets, *ids))
    if not whole or not all(isinstance(caption, str) for caption in captions):
        return False
    if not all(_has_one_a_clip(index.get(key), len(ids)) for key in ("files", "sources", "choices")):
        return False
    rates = all(type(rate) in (int, float) and 0 < rate < float("inf") for rate in fps)
    rises = offsets[:1] == [0] and all(a < b for a, b in pairwise(offsets))
    return rates and rises and len(offsets) - 1 == len(ids) == len(fps) > 0 and _are_rows(ids, captions)


def _has_one_a_clip(part: Any, count: int) -> bool:
    """True if an optional part is left out, or has a text, or a list of pairs of numbers, for every clip."""

    def is_pair(pair: Any) -> bool:
        numbers = isinstance(pair, list) and len(pair) == 2 and type(pair[0]) is int
        return numbers and type(pair[1]) in (int, float) and pair[1] > 0

    def is_entry(entry: Any) -> bool:
        return isinstance(entry, str) or (
            isinstance(entry, list) and bool(entry) and all(map(is_pair, entry))
        )

    return part is None or (isinstance(part, list) and len(part) == count and all(map(is_entry, part)))


def _are_rows(ids: Sequence[int], captions: Sequence[str]) -> bool:
    return all(0 <= number < len(captions) for number in ids)


def _incomplete(folder: str | os.PathLike, why: object) -> CheckpointFormatError:
    return CheckpointFormatError(
        f"{folder} holds no complete clip cache ({why}); give the folder of videos it was made from, which "
        "prepares it again."
    )
