"""Distances between two sets of features.

The Frechet distance of FID and FVD, with an interval by bootstrap, and KID.

Shapes: features (n d) of n samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..errors import InvalidInputError

# clips below which a Frechet video distance says nothing: its bias is larger than its differences
FEWEST = 256
KID_DEGREE = 3


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
    ours: np.ndarray, theirs: np.ndarray, draws: int = 50, seed: int = 0, fewest: int = FEWEST
) -> Distance:
    """Frechet distance with its interval over resampled clips.

    Raises:
        InvalidInputError: fewer clips than `fewest` in one of the sets.
    """
    check_enough(min(len(ours), len(theirs)), fewest)
    rng = np.random.default_rng(seed)
    values = [
        frechet_distance(
            ours[rng.integers(len(ours), size=len(ours))], theirs[rng.integers(len(theirs), size=len(theirs))]
        )
        for _ in range(draws)
    ]
    low, high = np.quantile(values, (0.025, 0.975))
    return Distance(frechet_distance(ours, theirs), float(low), float(high), len(ours), len(theirs))


def kernel_distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Kernel distance (KID, arXiv 1801.01401).

    Squared maximum mean discrepancy with a cubic kernel, without bias.
    """
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)

    def kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return (one @ other.T / one.shape[1] + 1) ** KID_DEGREE

    def without_itself(features: np.ndarray) -> float:
        values = kernel(features, features)
        return float((values.sum() - np.trace(values)) / (len(features) * (len(features) - 1)))

    return without_itself(ours) + without_itself(theirs) - 2 * float(kernel(ours, theirs).mean())


def _root(covariance: np.ndarray) -> np.ndarray:
    """Square root of a covariance."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
