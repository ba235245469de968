"""Numbers of a film that networks give: its consistency, and CLIPSIM with its caption."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from ..temporal.curation.folder import captions_of
from ..temporal.curation.looks.embeddings import Embedder
from ..temporal.metrics.consistency import clip_similarity, consistency
from ..temporal.metrics.films import FilmNumbers, Look
from ..temporal.video.reading import fitted, frames_of, probe

FRAMES = 16  # of a film that CLIP is shown, evenly over what is measured


@dataclass(frozen=True)
class Networks:
    """Networks that see pictures, where their files are there; both see the same frames."""

    clip: Embedder | None = None
    subject: Embedder | None = None  # DINOv2, or CLIP


def with_looks(path: Path, numbers: FilmNumbers, look: Look, networks: Networks) -> FilmNumbers:
    """Numbers of a film with those that networks give, where they are there."""
    clip, subject = networks.clip, networks.subject
    if clip is None and subject is None:
        return numbers
    film = probe(path)
    seconds = numbers.frames / numbers.fps
    rate = min(numbers.fps, FRAMES / seconds)
    frames = np.stack(list(islice(frames_of(film, rate, fitted(film, look.side), seconds=seconds), FRAMES)))
    if subject is not None:
        numbers = replace(numbers, subject=consistency(subject.pictures(frames)))
    return numbers if clip is None else _with_clip(path, numbers, frames, clip)


def _with_clip(path: Path, numbers: FilmNumbers, frames: np.ndarray, clip: Embedder) -> FilmNumbers:
    features = clip.pictures(frames)
    texts = captions_of(path.parent, [path])[0] if clip.reads_text else ()
    caption = texts[0][0] if texts else ""
    similar = clip_similarity(features, clip.texts([caption])[0]) if caption else None
    return replace(numbers, background=consistency(features), clipsim=similar)
