"""Frechet distance of videos for the toy world, like FVD (arXiv 1812.01717) with a network of its own.

FVD's network was trained on real videos and cannot be bundled. Here a sample is a pair of neighbouring
frames: the classifier's features of the first frame, and of the change to the second one. A distance of
frames cannot see flicker; this one can. Its numbers compare methods on the toy world, and with no number
published elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .classifier import Classifier, frechet_distance

CONTRAST = 4.0  # changes are small: the classifier sees them as this much stronger


@torch.no_grad()
def pair_features(model: Classifier, clip: Tensor) -> np.ndarray:
    """Features `(f-1 256)` of the pairs of a clip `(f 3 h w)` in 0..1."""
    changes = (0.5 + CONTRAST * clip.diff(dim=0)).clamp(0, 1)
    features = torch.cat([model.features(clip[:-1]), model.features(changes)], dim=1)
    return features.double().numpy()


def video_distance(ours: list[np.ndarray], theirs: list[np.ndarray]) -> float:
    """Frechet distance of two sets of clips' pair features; give both many more pairs than features."""
    return frechet_distance(np.concatenate(ours), np.concatenate(theirs))


SAMPLES_AN_AXIS = 10  # a covariance of fewer says more of the sample than of what it is drawn from


@dataclass(frozen=True)
class Resolved:
    """A distance with its 95 % interval over clips, and the floor.

    What two halves of the reference are apart.

    A distance whose interval reaches down to the floor is none.
    """

    distance: float
    low: float
    high: float
    floor: float
    axes: int


Interval = tuple[float, float, float]  # a number, and the ends of its 95 % interval
DRAWS = 200


def resolved_distance(ours: list[np.ndarray], theirs: list[np.ndarray], seed: int = 0) -> Resolved:
    """Frechet distance of two sets of clips' pair features in as few axes as there are samples for.

    The axes are those along which pairs of the reference differ most, each with a variance of 1, so that
    there are at least ten samples of the smaller set for every one. The interval is that of whole clips drawn
    again with replacement (bootstrap), shifted by how far drawing again moves the middle, since a set with
    clips twice is farther away than the set itself.
    """
    axes = _axes(ours, theirs)
    mine, drawn, rng = _seen(ours, axes), _seen(theirs, axes), np.random.default_rng(seed)
    again = [video_distance([mine[i] for i in chosen], drawn) for chosen in _drawn_again(len(mine), rng)]
    distance, low, high = shifted(video_distance(mine, drawn), again)
    order = rng.permutation(len(drawn))
    halves = [[drawn[i] for i in order[part::2]] for part in (0, 1)]
    return Resolved(distance, max(0.0, low), high, video_distance(*halves), axes.directions.shape[1])


def paired_difference(
    far: list[np.ndarray], near: list[np.ndarray], theirs: list[np.ndarray], seed: int = 0
) -> Interval:
    """By how much one set of clips is nearer to `theirs` than another of the same scenes, with its interval.

    Distances as in `resolved_distance`. The same scenes are drawn again for both sets, so that what scenes
    have in common falls out of the difference.
    """
    axes = _axes(near, theirs)
    sides, drawn = [_seen(clips, axes) for clips in (far, near)], _seen(theirs, axes)

    def difference(chosen: NDArray[np.int64]) -> float:
        farther, nearer = (video_distance([side[i] for i in chosen], drawn) for side in sides)
        return farther - nearer

    rng = np.random.default_rng(seed)
    again = [difference(chosen) for chosen in _drawn_again(len(near), rng)]
    return shifted(difference(np.arange(len(near))), again)


@dataclass(frozen=True, eq=False)
class _Axes:
    """Middle `(d)` of features and directions `(d axes)`, along which the reference has a variance of 1."""

    middle: NDArray[np.float64]
    directions: NDArray[np.float64]


def _axes(ours: list[np.ndarray], theirs: list[np.ndarray]) -> _Axes:
    """The axes along which the pairs of `theirs` differ most, as many as there are samples for."""
    reference = np.concatenate(theirs)
    samples = min(len(reference) // 2, sum(map(len, ours)))
    middle = reference.mean(0)
    _, spread, directions = np.linalg.svd(reference - middle, full_matrices=False)
    spread = spread / np.sqrt(len(reference))
    count = max(2, min(samples // SAMPLES_AN_AXIS, int((spread > 1e-6 * spread[0]).sum())))
    return _Axes(middle, directions[:count].T / spread[:count])


def _seen(clips: list[np.ndarray], axes: _Axes) -> list[np.ndarray]:
    return [(clip - axes.middle) @ axes.directions for clip in clips]


def _drawn_again(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    return rng.integers(count, size=(DRAWS, count))


def shifted(value: float, again: Sequence[float] | np.ndarray) -> Interval:
    """A number with the interval of a bootstrap, moved by how far drawing again moves the middle."""
    low, middle, high = np.percentile(again, (2.5, 50, 97.5))
    return value, float(low) + value - float(middle), float(high) + value - float(middle)
