"""Consistency of what is seen in a clip, by features of its pictures (VBench, arXiv 2311.17982).

Shapes: features (f d) of f frames.
"""

from __future__ import annotations

import numpy as np


def consistency(features: np.ndarray) -> float:
    """Mean cosine of every frame to the first one and to the one before it; 1 for a still.

    VBench's subject consistency with the features of DINO, its background consistency with those of CLIP.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    units = features.astype(np.float64) / np.maximum(lengths, 1e-12)
    if len(units) < 2:
        return 1.0
    to_first = (units[1:] @ units[0]).clip(min=0)
    to_last = np.einsum("fd,fd->f", units[1:], units[:-1]).clip(min=0)
    return float((to_first + to_last).mean() / 2)


def clip_similarity(features: np.ndarray, text: np.ndarray) -> float:
    """Mean cosine of a clip's frames (f d) and its caption (d): CLIPSIM (GODIVA, arXiv 2104.14806)."""
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(text)
    return float((features @ text / np.maximum(lengths, 1e-12)).mean())
