"""A small picture classifier of the toy world.

It names shape, colour and size, and its features measure distances.

Pictures `(b 3 128 128)` in 0..1, features `(b 128)`.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from einops import rearrange, reduce
from safetensors.torch import load_file
from torch import Tensor, nn

from ...temporal.metrics import frechet
from .scene import COLORS, SHAPES, SIZES

LABELS = {"shape": SHAPES, "color": tuple(COLORS), "size": tuple(SIZES)}
WIDTHS = (3, 16, 32, 64, 64)


class Classifier(nn.Module):
    """Four strided convolutions, the strongest answer over the picture, one linear reader per attribute."""

    def __init__(self) -> None:
        super().__init__()
        pairs = pairwise(WIDTHS)
        self.convs = nn.ModuleList(nn.Conv2d(here, there, 5, 2, 2) for here, there in pairs)
        self.last = nn.Conv2d(WIDTHS[-1], WIDTHS[-1], 3, 1, 1)
        self.readers = nn.ModuleDict({name: nn.Linear(2 * WIDTHS[-1], len(LABELS[name])) for name in LABELS})

    def features(self, pictures: Tensor) -> Tensor:
        """The mean and the maximum over the picture of the last layer, `(b 128)`."""
        hidden = pictures - 0.5
        for conv in self.convs:
            hidden = conv(hidden).relu()
        hidden = self.last(hidden).relu()
        means, peaks = reduce(hidden, "b c h w -> b c", "mean"), reduce(hidden, "b c h w -> b c", "max")
        return torch.cat([means, peaks], 1)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        """Scores of every label, by attribute."""
        features = self.features(pictures)
        return {name: reader(features) for name, reader in self.readers.items()}


def load_classifier(path: Path) -> Classifier:
    """The classifier of a safetensors file."""
    model = Classifier()
    model.load_state_dict({key: value.float() for key, value in load_file(path).items()})
    return model.requires_grad_(False).eval()


def to_pictures(frames: np.ndarray) -> Tensor:
    """Frames `(f h w 3)` uint8 to pictures `(f 3 h w)` in 0..1."""
    return rearrange(torch.from_numpy(np.ascontiguousarray(frames)), "f h w c -> f c h w").float() / 255


@torch.no_grad()
def name(model: Classifier, frames: np.ndarray) -> dict[str, str]:
    """Attributes of a clip by the mean of the frames' log-probabilities."""
    scores = model(to_pictures(frames))
    return {key: LABELS[key][int(value.log_softmax(1).mean(0).argmax())] for key, value in scores.items()}


def frechet_distance(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Frechet distance of two sets of features `(n d)` taken for Gaussians, as in FID (arXiv 1706.08500).

    Every feature is measured in standard deviations of theirs, so that the distance does not hang on its
    scale.
    """
    spread = theirs.std(0)
    ours, theirs = (side[:, spread > 1e-3] / spread[spread > 1e-3] for side in (ours, theirs))
    return frechet.frechet_distance(ours, theirs)
