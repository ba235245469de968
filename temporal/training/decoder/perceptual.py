"""Distance of two pictures to the eye: of their features in a fixed network (LPIPS, arXiv 1801.03924).

Shapes: pictures (f 3 h w) in 0..1; features (f c h w).
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import CheckpointFormatError
from ...weights.files import read_weights

RANDOM_WIDTHS = (3, 16, 32, 64)
VGG_WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of the pictures that VGG was trained on


class FeatureDistance(nn.Module):
    """Mean squared distance of features at several scales, each of length 1 over the channels.

    The weights are fixed, and never given to an optimiser.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, stages: nn.ModuleList, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        self.stages = stages
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, decoded: Tensor, frames: Tensor) -> Tensor:
        """Distance of two sets of pictures (scalar)."""
        both = (torch.cat([decoded, frames]) - self.mean) / self.std
        distance = both.new_zeros(())
        for stage in self.stages:
            both = stage(both)
            ours, theirs = functional.normalize(both, dim=1, eps=1e-6).chunk(2)
            distance = distance + (ours - theirs).square().sum(dim=1).mean()
        return distance / len(self.stages)


def random_features(seed: int = 0) -> FeatureDistance:
    """Features of a network with random weights, always the same: edges and textures at three scales.

    No network that was trained on people's judgement: it tells blur from sharpness, and little of what
    pictures mean.
    """
    generator = torch.Generator().manual_seed(seed)
    stages = nn.ModuleList()
    for here, there in pairwise(RANDOM_WIDTHS):
        conv = nn.Conv2d(here, there, 3, stride=2, padding=1)
        with torch.no_grad():
            conv.weight.copy_(torch.randn(conv.weight.shape, generator=generator) / (9 * here / 2) ** 0.5)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)
        stages.append(nn.Sequential(conv, nn.LeakyReLU(0.2)))
    return FeatureDistance(stages, (0.5,) * 3, (0.5,) * 3)


def vgg_features(path: str | Path) -> FeatureDistance:
    """Features of VGG-16 from a file of its weights, torchvision's names (`features.0.weight` ...).

    Raises:
        CheckpointFormatError: the file does not hold them.
    """
    file, stages, number, width = read_weights(path), nn.ModuleList(), 0, 3
    for level, widths in enumerate(VGG_WIDTHS):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if level else []
        number += bool(level)
        for wide in widths:
            conv = nn.Conv2d(width, wide, 3, padding=1)
            weight, bias = (file.tensors.get(f"features.{number}.{part}") for part in ("weight", "bias"))
            if weight is None or bias is None or weight.shape != conv.weight.shape:
                raise CheckpointFormatError(
                    f"{file.path.name} does not hold the weights of VGG-16 (features.{number}.weight of "
                    f"shape {tuple(conv.weight.shape)}); give torchvision's vgg16 file, or leave it out "
                    "for random features."
                )
            conv.load_state_dict({"weight": weight.float(), "bias": bias.float()})
            layers += [conv, nn.ReLU()]
            number, width = number + 2, wide
        stages.append(nn.Sequential(*layers))
    return FeatureDistance(stages, MEAN, STD)
