"""Numbers of a film that CLIP gives: consistency of the background, and CLIPSIM with its caption."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from ..temporal.curation.captions import beside
from ..temporal.curation.looks.embeddings import Embedder
from ..temporal.metrics.consistency import clip_similarity, consistency
from ..temporal.metrics.films import FilmNumbers, Look
from ..temporal.video.reading import fitted, frames_of, probe

FRAMES = 16  # of a film that CLIP is shown, evenly over what is measured


def with_looks(path: Path, numbers: FilmNumbers, look: Look, network: Embedder | None) -> FilmNumbers:
    """Numbers of a film with those that CLIP gives, where it is there."""
    if network is None:
        return numbers
    film = probe(path)
    seconds = numbers.frames / numbers.fps
    rate = min(numbers.fps, FRAMES / seconds)
    frames = np.stack(list(islice(frames_of(film, rate, fitted(film, look.side), seconds=seconds), FRAMES)))
    features = network.pictures(frames)
    caption = beside(path, {}) if network.reads_text else None
    similar = clip_similarity(features, network.texts([caption])[0]) if caption else None
    return replace(numbers, background=consistency(features), clipsim=similar)
