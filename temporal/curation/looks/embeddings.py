"""Features of every clip, of its first, middle and last frame by CLIP, kept in a file a film.

They are the only slow part of the scores that come of them (scores.py), so a new threshold, caption or
aesthetic network computes no picture again.

Shapes: features (n 3 d) of n clips.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from ...errors import CheckpointFormatError, InvalidInputError
from ...video.reading import FilmInfo, fitted, frame_at, probe
from ...weights.files import read_weights, write_weights
from ..ledger import FilmResult
from ..table import ClipRow

logger = logging.getLogger("video_ldm.curation")
SIDE = 336  # pixels of the shorter side of the frames that CLIP is given, which it shrinks itself
FRAMES = 3
LEDGER = "clip"  # folder below the data set


class Embedder(Protocol):
    """A network for pictures and texts in one space; `identity` names its files and their hashes."""

    @property
    def identity(self) -> str: ...

    @property
    def reads_text(self) -> bool: ...

    def pictures(self, frames: np.ndarray) -> np.ndarray: ...

    def texts(self, texts: Sequence[str]) -> np.ndarray: ...


def embedded(root: Path, result: FilmResult, network: Embedder) -> np.ndarray:
    """Features of all clips of a film, from its file where that is whole; zeros where nothing can be decoded.

    Raises OutputError when the file cannot be written.
    """
    path = root / LEDGER / f"{_name(result, network)}.safetensors"
    found = _read(path, len(result.rows))
    if found is not None:
        return found
    try:
        film = probe(root / result.file)
    except InvalidInputError:  # gone since it was looked at
        return np.zeros((len(result.rows), FRAMES, 1), np.float32)
    clips = [_features(film, row, network) for row in result.rows]
    width = next((len(clip[0]) for clip in clips if clip is not None), 1)
    zeros = np.zeros((FRAMES, width), np.float32)
    features = np.stack([zeros if clip is None else clip for clip in clips])
    write_weights(path, {"features": torch.from_numpy(features)}, {})
    return features


def side_by_side(films: Sequence[np.ndarray]) -> np.ndarray:
    """Features of the clips of all films; those without any are zeros of the others' width."""
    width = max((len(film[0, 0]) for film in films if len(film)), default=1)
    return np.concatenate(
        [
            film if film.shape[2] == width else np.zeros((*film.shape[:2], width), np.float32)
            for film in films
            if len(film)
        ]
        or [np.zeros((0, FRAMES, width), np.float32)]
    )


def _read(path: Path, count: int) -> np.ndarray | None:
    """Features of so many clips, None where there are none; a damaged file is made again."""
    if not path.is_file():
        return None
    try:
        features = read_weights(path).tensors["features"].float().numpy()
    except (CheckpointFormatError, KeyError):
        features = np.empty(0)
    if features.shape[:2] == (count, FRAMES) and np.isfinite(features).all():
        return features
    logger.warning("%s is damaged; its film is looked at again.", path.name)
    return None


def _features(film: FilmInfo, row: ClipRow, network: Embedder) -> np.ndarray | None:
    size = fitted(film, SIDE)
    moments = (row.start, (row.start + row.end) / 2, max(row.start, row.end - 2 / film.fps))
    try:
        return network.pictures(np.stack([frame_at(film, moment, size) for moment in moments]))
    except InvalidInputError:
        return None


def _name(result: FilmResult, network: Embedder) -> str:
    keys = " ".join(row.key for row in result.rows)
    return hashlib.sha1(f"{network.identity} {keys}".encode()).hexdigest()[:20]
