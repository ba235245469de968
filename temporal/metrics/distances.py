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

from ..errors import CheckpointFormatError, InvalidInputError
from ..video.reading import frames_of, probe
from .frechet import check_enough, kernel_distance, with_interval
from .inception_score import inception_score
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
    """FVD, CD-FVD, FID, KID and IS where their files are there; a sentence for each that is not measured."""
    results: dict[str, Any] = {}
    missing = []
    for name, measure in (("FVD", _fvd), ("CD-FVD", _cd_fvd), ("FID", _fid_and_kid), ("IS", _score)):
        try:
            results.update(measure((made, real), networks))
        except (InvalidInputError, CheckpointFormatError) as error:
            missing.append(f"{name} was left out: {error}")
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
    pictures = [clips.reshape(-1, *clips.shape[2:]) for clips in sets]
    check_enough(min(map(len, pictures)), FEWEST_PICTURES, "pictures")
    network = load_network(networks, INCEPTION, "IS")
    score, spread = inception_score(probabilities(network, pictures[0]))
    real, _ = inception_score(probabilities(network, pictures[1]))
    counts = {"ours": len(pictures[0]), "theirs": len(pictures[1])}
    facts = {"spread": spread, "of the others": real, **counts, **_facts(network.name, network.digest)}
    return {"IS": {"value": score, **facts}}


def _fid_and_kid(sets: Sequence[np.ndarray], networks: Path) -> dict[str, Any]:
    pictures = [clips.reshape(-1, *clips.shape[2:]) for clips in sets]
    check_enough(min(map(len, pictures)), FEWEST_PICTURES, "pictures")
    network = load_network(networks, INCEPTION, "FID")
    ours, theirs = (picture_features(network, found) for found in pictures)
    distance = with_interval(ours, theirs, fewest=FEWEST_PICTURES)
    facts = _facts(network.name, network.digest)
    kernel = {"value": kernel_distance(ours, theirs), "ours": distance.ours, "theirs": distance.theirs}
    return {"FID": {**vars(distance), **facts}, "KID": {**kernel, **facts}}


def _facts(name: str, digest: str) -> dict[str, Any]:
    return {
        "frames": FVD_FRAMES,
        "size": f"{FVD_SIDE} x {FVD_SIDE}, area",
        "features": f"{name}, sha256 {digest}",
    }
