"""Distances between two sets of features.

The Frechet distance of FID and FVD, with an interval by bootstrap.

Shapes: features (n d) of n samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InvalidInputError
from .bootstrap import DRAWS, drawn, interval

# clips below which a Frechet video distance says nothing: its bias is larger than its differences
FEWEST = 256


@dataclass(frozen=True)
class Distance:
    """A distance with its 95 % interval, and the number of samples of both sets."""

    value: float
    low: float
    high: float
    ours: int
    theirs: int


def frechet_distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Frechet distance of two sets of features taken for Gaussians (FID, arXiv 1706.08500, equation 6)."""
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    gap = ours.mean(axis=0) - theirs.mean(axis=0)
    one, other = (np.cov(features, rowvar=False) for features in (ours, theirs))
    root = _root(one)
    cross = np.linalg.eigvalsh(root @ other @ root).clip(min=0)
    return float(gap @ gap + np.trace(one) + np.trace(other) - 2 * np.sqrt(cross).sum())


def check_enough(count: int, fewest: int = FEWEST, what: str = "clips") -> None:
    """Raise InvalidInputError when a distance of so many samples would say nothing."""
    if count < fewest:
        raise InvalidInputError(
            f"A measure of {count} {what} says nothing, as it is mostly bias; give at least "
            f"{fewest} {what} on both sides."
        )


def with_interval(
    ours: np.ndarray, theirs: np.ndarray, seed: int = 0, fewest: int = FEWEST, group: int = 1
) -> Distance:
    """Frechet distance with its interval over drawn clips, of which each has `group` features in a row.

    Raises:
        InvalidInputError: fewer features than `fewest` in one of the sets.
    """
    check_enough(min(len(ours), len(theirs)), fewest)
    rng = np.random.default_rng(seed)
    values = [
        frechet_distance(ours[drawn(rng, len(ours), group)], theirs[drawn(rng, len(theirs), group)])
        for _ in range(DRAWS)
    ]
    value = frechet_distance(ours, theirs)
    return Distance(value, *interval(value, values), len(ours), len(theirs))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Square root of a covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
