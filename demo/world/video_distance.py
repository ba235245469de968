"""A Frechet distance of videos for the toy world, made like FVD (arXiv 1812.01717) but with a network of its
own.

FVD's network was trained on real videos and cannot be bundled. Here a sample is a pair of neighbouring
frames: the classifier's features of the first frame, and of the change to the second one. A distance of
frames cannot see flicker; this one can. Its numbers compare methods on the toy world, and with no number
published elsewhere.
"""

from __future__ import annotations

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
