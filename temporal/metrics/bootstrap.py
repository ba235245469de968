"""Intervals by bootstrap (Efron 1979): how much a number changes when other clips had been drawn.

Clips are drawn and not frames, which are alike within a clip, so an interval over frames is far too narrow.

Shapes: rows (n group) of n clips, `group` rows each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DRAWS = 50


def drawn(rng: np.random.Generator, rows: int, group: int = 1) -> np.ndarray:
    """Numbers of the rows of as many clips as there are, drawn with repetition, `group` rows a clip."""
    clips = rng.integers(rows // group, size=rows // group)
    return (clips[:, None] * group + np.arange(group)).ravel()


def interval(value: float, values: Sequence[float]) -> tuple[float, float]:
    """95 % interval around a number from its values on drawn clips.

    Drawn clips repeat, which shifts distances up and scores down, so only their spread counts.
    """
    low, high = np.quantile(np.asarray(values) - np.mean(values), (0.025, 0.975))
    return float(value + low), float(value + high)
