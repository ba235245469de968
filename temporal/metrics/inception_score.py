"""Inception Score (arXiv 1606.03498): how sure a classifier is of each picture, and how many kinds there are.

Shapes: probabilities (n k) of n pictures and k kinds.
"""

from __future__ import annotations

import numpy as np

from .bootstrap import DRAWS, drawn, interval

SPLITS = 10
TINY = 1e-16


def inception_score(probabilities: np.ndarray, splits: int = SPLITS, seed: int = 0) -> tuple[float, float]:
    """Mean and standard deviation of the score over so many parts of the pictures, drawn anew."""
    shuffled = np.random.default_rng(seed).permutation(probabilities.astype(np.float64))
    scores = []
    for part in np.array_split(shuffled, min(splits, len(shuffled))):
        all_kinds = part.mean(axis=0, keepdims=True)
        gain = part * (np.log(part + TINY) - np.log(all_kinds + TINY))
        scores.append(float(np.exp(gain.sum(axis=1).mean())))
    return float(np.mean(scores)), float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0


def score_interval(
    score: float, probabilities: np.ndarray, group: int = 1, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a score over drawn clips, of which each has `group` pictures in a row."""
    rng = np.random.default_rng(seed)
    rows = len(probabilities)
    return interval(score, [inception_score(probabilities[drawn(rng, rows, group)])[0] for _ in range(DRAWS)])
