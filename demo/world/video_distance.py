"""Frechet distance of videos for the toy world, like FVD (arXiv 1812.01717) with a network of its own.

FVD's network was trained on real videos and cannot be bundled. Here a sample is a pair of neighbouring
frames: the classifier's features of the first frame, and of the change to the second one. A distance of
frames cannot see flicker; this one can. Its numbers compare methods on the toy world, and with no number
published elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
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


def resolved_distance(
    ours: list[np.ndarray], theirs: list[np.ndarray], seed: int = 0, draws: int = 200
) -> Resolved:
    """Frechet distance of two sets of clips' pair features in as few axes as there are samples for.

    The axes are those along which pairs of the reference differ most, each with a variance of 1, so that
    there are at least ten samples of the smaller set for every one. The interval is that of whole clips drawn
    again with replacement (bootstrap), shifted by how far drawing again moves the middle, since a set with
    clips twice is farther away than the set itself.
    """
    reference = np.concatenate(theirs)
    samples = min(len(reference) // 2, sum(map(len, ours)))
    middle = reference.mean(0)
    _, spread, directions = np.linalg.svd(reference - middle, full_matrices=False)
    spread = spread / np.sqrt(len(reference))
    axes = max(2, min(samples // SAMPLES_AN_AXIS, int((spread > 1e-6 * spread[0]).sum())))

    def seen(clips: list[np.ndarray]) -> list[np.ndarray]:
        return [(clip - middle) @ directions[:axes].T / spread[:axes] for clip in clips]

    mine, drawn, rng = seen(ours), seen(theirs), np.random.default_rng(seed)
    distance = video_distance(mine, drawn)
    again = [
        video_distance([mine[i] for i in rng.integers(len(mine), size=len(mine))], drawn)
        for _ in range(draws)
    ]
    low, median, high = np.percentile(again, (2.5, 50, 97.5))
    order = rng.permutation(len(drawn))
    halves = [[drawn[i] for i in order[part::2]] for part in (0, 1)]
    shift = distance - float(median)
    return Resolved(
        distance, max(0.0, float(low) + shift), float(high) + shift, video_distance(*halves), axes
    )
