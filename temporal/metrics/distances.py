"""Distances between two sets of clips, with what a reader needs to compare them.

How many, how long, how large, which file.

Shapes: clips (n f h w 3) uint8, RGB.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange

from ..errors import CheckpointFormatError, InvalidInputError
from ..video.reading import frames_of, probe
from .frechet import check_enough, with_interval
from .inception_score import inception_score, score_interval
from .kernel import kernel_distance
from .networks import (
    FVD_FRAMES,
    FVD_SIDE,
    I3D,
    INCEPTION,
    VIDEOMAE,
    load_network,
    masked_features,
    picture_features,
    probabilities,
    video_features,
)

FEWEST_PICTURES = 256


def clips_of(paths: Sequence[Path], side: int = FVD_SIDE, frames: int = FVD_FRAMES) -> np.ndarray:
    """The first frames of every film (n f side side 3), squeezed into a square.

    Films that are shorter are left out.

    Raises InvalidInputError when no film is long enough.
    """
    clips = []
    for path in paths:
        film = probe(path)
        found = list(islice(frames_of(film, film.fps, (side, side)), frames))
        if len(found) == frames:
            clips.append(np.stack(found))
    if not clips:
        raise InvalidInputError(
            f"No film has {frames} frames, which distances of clips are made of; give longer films."
        )
    return np.stack(clips)


def measure_distances(made: np.ndarray, real: np.ndarray, networks: Path) -> tuple[dict[str, Any], list[str]]:
    """FVD, CD-FVD, FID, KID and IS where their files are there; a sentence for each that is not measured.

    Each has an interval over clips, where there are two or more.
    """
    results: dict[str, Any] = {}
    missing = []
    for name, measure in (("FVD", _fvd), ("CD-FVD", _cd_fvd), ("FID", _fid_and_kid), ("IS", _score)):
        try:
            results.update(measure((made, real), networks))
        except (InvalidInputError, CheckpointFormatError) as error:
            missing.append(f"{name} was left out: {error}")
    if min(len(made), len(real)) < 2:  # frames of one clip do not tell how far clips lie apart
        for facts in results.values():
            del facts["low"], facts["high"]
    return results, missing


def _fvd(sets: Sequence[np.ndarray], networks: Path) -> dict[str, Any]:
    check_enough(min(map(len, sets)))
    network = load_network(networks, I3D, "FVD")
    ours, theirs = (video_features(network, clips[:, :FVD_FRAMES]) for clips in sets)
    distance = with_interval(ours, theirs)
    return {"FVD": {**vars(distance), **_facts(network.name, network.digest)}}


def _cd_fvd(sets: Sequence[np.ndarray], networks: Path) -> dict[str, Any]:
    check_enough(min(map(len, sets)))
    network = load_network(networks, VIDEOMAE, "CD-FVD")
    ours, theirs = (masked_features(network, clips[:, :FVD_FRAMES]) for clips in sets)
    return {"CD-FVD": {**vars(with_interval(ours, theirs)), **_facts(network.name, network.digest)}}


def _score(sets: Sequence[np.ndarray], networks: Path) -> dict[str, Any]:
    """Inception Score of what was made; n is of pictures."""
    (made, group), (real, _) = map(_pictures, sets)
    check_enough(min(len(made), len(real)), FEWEST_PICTURES, "pictures")
    network = load_network(networks, INCEPTION, "IS")
    found = probabilities(network, made)
    score, spread = inception_score(found)
    others, _ = inception_score(probabilities(network, real))
    low, high = score_interval(score, found, group)
    facts = {"spread": spread, "of the others": others, "ours": len(made), "theirs": len(real)}
    return {"IS": {"value": score, "low": low, "high": high, **facts, **_facts(network.name, network.digest)}}


def _fid_and_kid(sets: Sequence[np.ndarray], networks: Path) -> dict[str, Any]:
    (made, group), (real, _) = map(_pictures, sets)
    check_enough(min(len(made), len(real)), FEWEST_PICTURES, "pictures")
    network = load_network(networks, INCEPTION, "FID")
    ours, theirs = (picture_features(network, pictures) for pictures in (made, real))
    facts = _facts(network.name, network.digest)
    distance = with_interval(ours, theirs, fewest=FEWEST_PICTURES, group=group)
    kernel = kernel_distance(ours, theirs, group=group)
    return {"FID": {**vars(distance), **facts}, "KID": {**vars(kernel), **facts}}


def _pictures(clips: np.ndarray) -> tuple[np.ndarray, int]:
    """All frames (n h w 3), and how many in a row are of a clip."""
    return rearrange(clips, "n f h w c -> (n f) h w c"), clips.shape[1]


def _facts(name: str, digest: str) -> dict[str, Any]:
    return {
        "frames": FVD_FRAMES,
        "size": f"{FVD_SIDE} x {FVD_SIDE}, area",
        "features": f"{name}, sha256 {digest}",
    }
