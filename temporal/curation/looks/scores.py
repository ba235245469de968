"""Scores of clips that come of CLIP's features: caption match, aesthetics, near duplicates.

They are those of Stable Video Diffusion (appendix C): they look at the first, middle and last frame, take
the cosine to every caption, and ask a small network that people's marks for pictures taught.

Shapes: features (n 3 d) of n clips, or (n d) of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...errors import CheckpointFormatError, IncompatibleModelError
from ...weights.files import read_weights
from ..table import ClipRow
from .embeddings import Embedder

ALIKE = 0.99  # cosine of the middle frames of clips that are taken for the same
BLOCK = 2048  # clips that are compared with each other at a time


@dataclass(frozen=True)
class Aesthetics:
    """Linear layers that give CLIP's features of a picture a mark, as LAION's predictors do."""

    name: str
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]  # weight (out in) and bias (out)

    def marks(self, features: np.ndarray) -> np.ndarray:
        """Marks (n) of pictures; raises IncompatibleModelError when another CLIP made the features."""
        width = self.layers[0][0].shape[1]
        if features.shape[1] != width:
            raise IncompatibleModelError(
                f"{self.name} reads {width} features of a picture, but this CLIP gives {features.shape[1]}; "
                "give the CLIP it was made for, mostly ViT-L/14."
            )
        values = _units(features)
        for weight, bias in self.layers:
            values = values @ weight.T + bias
        return values[:, 0]


def open_aesthetics(path: Path) -> Aesthetics:
    """Read LAION's predictor, one layer or several.

    Raises CheckpointFormatError when the file is missing or holds something else.
    """
    tensors = read_weights(path).tensors
    starts = sorted({key.rpartition(".")[0] for key in tensors}, key=_number)
    try:
        layers = tuple(
            tuple(
                tensors[f"{start}.{part}" if start else part].double().numpy() for part in ("weight", "bias")
            )
            for start in starts
        )
    except KeyError:
        layers = ()
    if not layers or not _fit(layers):
        raise CheckpointFormatError(
            f"{path.name} is no aesthetic predictor: linear layers after each other that end in one mark. "
            "LAION's sac+logos+ava1-l14-linearMSE.pth is one."
        )
    return Aesthetics(path.name, layers)  # type: ignore[arg-type]


def with_marks(rows: Sequence[ClipRow], features: np.ndarray, network: Aesthetics) -> list[ClipRow]:
    """Rows with the mean mark of their frames."""
    count, frames, width = features.shape
    marks = network.marks(features.reshape(-1, width)).reshape(count, frames).mean(axis=1)
    return [
        replace(row, aesthetic=float(mark)) if own.any() else row
        for row, own, mark in zip(rows, features, marks, strict=True)
    ]


def with_text_match(rows: Sequence[ClipRow], features: np.ndarray, network: Embedder) -> list[ClipRow]:
    """Rows with captions with the mean cosine of their frames to their captions, by the captions' weights."""
    texts = sorted({caption.text for row in rows for caption in row.captions})
    if not texts:
        return list(rows)
    units = dict(zip(texts, _units(network.texts(texts)), strict=True))

    def match(row: ClipRow, frames: np.ndarray) -> float | None:
        weights = [caption.weight for caption in row.captions]
        if not sum(weights) or not frames.any():
            return None
        cosines = [float((_units(frames) @ units[caption.text]).mean()) for caption in row.captions]
        return float(np.average(cosines, weights=weights))

    return [replace(row, text_match=match(row, own)) for row, own in zip(rows, features, strict=True)]


def with_duplicates(rows: Sequence[ClipRow], features: np.ndarray, alike: float = ALIKE) -> list[ClipRow]:
    """Rows that look as an earlier row of another place does name it; each duplicate names one that stays.

    Every frame must be alike: clips of one place in which something else happens are no duplicates.
    """
    units = _units(features.astype(np.float32))
    first: list[int] = []  # of clips that are no duplicates
    found: dict[int, int] = {}
    for number in range(len(rows)):
        for start in range(0, len(first), BLOCK):
            block = first[start : start + BLOCK]
            cosines = np.einsum("bfd,fd->bf", units[block], units[number]).min(axis=1)
            best = int(cosines.argmax())
            if cosines[best] >= alike:
                found[number] = block[best]
                break
        else:
            first.append(number)
    return [
        replace(row, duplicate_of=rows[found[number]].key if number in found else None)
        for number, row in enumerate(rows)
    ]


def _units(features: np.ndarray) -> np.ndarray:
    return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)


def _number(name: str) -> int:
    digits = name.rpartition(".")[2]
    return int(digits) if digits.isdigit() else -1


def _fit(layers: Sequence[Sequence[np.ndarray]]) -> bool:
    """True if each layer reads what the one before it gives, and the last gives one number."""
    if any(weight.ndim != 2 or bias.shape != weight.shape[:1] for weight, bias in layers):
        return False
    widths = [weight.shape for weight, _ in layers]
    joined = all(one[0] == other[1] for one, other in pairwise(widths))
    return joined and widths[-1][0] == 1
