"""Kernel distance of two sets of features (KID, arXiv 1801.01401), with an interval by bootstrap.

Shapes: features ((n g) d) of n clips with g frames each; sums (n m) of the kernel between all frames of two
clips; counts (n,), how often each clip was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from einops import rearrange, reduce

from .bootstrap import DRAWS, interval
from .frechet import Distance

DEGREE = 3
CLIPS = 32  # whose kernels are in memory at a time


@dataclass(frozen=True)
class _Within:
    """Kernels within one set; those of a frame with itself are left out, as is a clip with its own copies."""

    between: np.ndarray  # of two clips; zero on the diagonal
    inside: np.ndarray  # (n,) of two frames of a clip
    group: int

    @classmethod
    def of(cls, features: np.ndarray, group: int) -> _Within:
        sums = _sums(features, features, group)
        itself = reduce(_kernel_of_itself(features), "(n g) -> n", "sum", g=group)
        inside = np.diag(sums) - itself
        np.fill_diagonal(sums, 0)
        return cls(sums, inside, group)

    def mean(self, counts: np.ndarray) -> float:
        """Mean kernel of two frames of the clips that were drawn."""
        clips = counts.sum()
        apart = self.group**2 * (clips**2 - (counts**2).sum())
        pairs = apart + clips * self.group * (self.group - 1)
        return float((counts @ self.between @ counts + counts @ self.inside) / pairs)


def kernel_distance(ours: np.ndarray, theirs: np.ndarray, seed: int = 0, group: int = 1) -> Distance:
    """Squared maximum mean discrepancy with a cubic kernel, without bias, and its interval over drawn clips.

    Of each clip there are `group` features in a row.
    """
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    within = _Within.of(ours, group), _Within.of(theirs, group)
    across = _sums(ours, theirs, group) / group**2

    def distance(one: np.ndarray, other: np.ndarray) -> float:
        both = float(one @ across @ other / (one.sum() * other.sum()))
        return within[0].mean(one) + within[1].mean(other) - 2 * both

    rng = np.random.default_rng(seed)
    sizes = across.shape
    value = distance(*(np.ones(size) for size in sizes))
    values = [distance(*(_counts(rng, size) for size in sizes)) for _ in range(DRAWS)]
    low, high = interval(value, values) if min(sizes) > 1 else (value, value)
    return Distance(value, low, high, len(ours), len(theirs))


def _counts(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.bincount(rng.integers(size, size=size), minlength=size).astype(np.float64)


def _sums(one: np.ndarray, other: np.ndarray, group: int) -> np.ndarray:
    """Kernels between the frames of two clips, summed; a few clips at a time, as frames are many."""
    clips = rearrange(one, "(n g) d -> n g d", g=group)
    parts = []
    for start in range(0, len(clips), CLIPS):
        rows = rearrange(clips[start : start + CLIPS], "n g d -> (n g) d")
        kernel = (rows @ other.T / one.shape[1] + 1) ** DEGREE
        parts.append(reduce(kernel, "(n g) (m h) -> n m", "sum", g=group, h=group))
    return np.concatenate(parts)


def _kernel_of_itself(features: np.ndarray) -> np.ndarray:
    return (np.einsum("nd,nd->n", features, features) / features.shape[1] + 1) ** DEGREE
