"""Known-frame patterns of training clips and their mixture.

Shapes: mask (f,) float, 1 = given.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ...errors import InvalidInputError

NAMES = ("none", "first", "first_two", "ends", "every_fourth", "loop", "random")


def known_mask(name: str, num_frames: int, generator: torch.Generator | None = None) -> Tensor:
    """Mask of one pattern (Video LDM, sections 3.2 and 3.3).

    `none`: text to video. `first`, `first_two`: image to video and prediction. `ends`: first and last frame,
    which is interpolation as in Video LDM (3 masked between 2 given) when clips have 5 frames.
    `every_fourth`: interpolation of a whole clip, from frame 0. `loop`: first and last, for clips that come
    back. `random`: each frame with probability 1/2.
    """
    mask = torch.zeros(num_frames)
    if name == "first":
        mask[0] = 1
    elif name == "first_two":
        mask[:2] = 1
    elif name in ("ends", "loop"):
        mask[0] = mask[-1] = 1
    elif name == "every_fourth":
        mask[::4] = 1
    elif name == "random":
        mask = (torch.rand(num_frames, generator=generator) < 0.5).float()
    elif name != "none":
        raise InvalidInputError(f"Unknown known-frame pattern {name!r}; choose from {', '.join(NAMES)}.")
    return mask


def parse_patterns(text: str) -> dict[str, float]:
    """Probabilities from `none=0.5,first=0.2`; they are scaled to sum to 1.

    Raises InvalidInputError for an unknown name or a number that is not positive.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, separator, value = part.strip().partition("=")
        name = name.strip().replace("-", "_").replace(" ", "_")
        try:
            weights[name] = float(value) if separator else 1.0
        except ValueError:
            raise InvalidInputError(
                f"{part.strip()!r} is no pattern: write NAME=PROBABILITY, e.g. first=0.2."
            ) from None
    return normalised(weights)


def normalised(weights: Mapping[str, float]) -> dict[str, float]:
    """The mixture with probabilities that sum to 1; checks names and signs."""
    for name, weight in weights.items():
        if name not in NAMES:
            raise InvalidInputError(f"Unknown known-frame pattern {name!r}; choose from {', '.join(NAMES)}.")
        if not weight >= 0:
            raise InvalidInputError(
                f"The probability of pattern {name!r} is {weight}; give a number of 0 or more."
            )
    total = sum(weights.values())
    if total <= 0:
        raise InvalidInputError(
            "All known-frame patterns have probability 0; give at least one a positive number."
        )
    return {name: weight / total for name, weight in weights.items()}


def draw(weights: Mapping[str, float], generator: torch.Generator) -> str:
    """One pattern name, drawn with its probability."""
    names = tuple(weights)
    shares = torch.tensor([weights[name] for name in names])
    return names[int(torch.multinomial(shares, 1, generator=generator))]


def there_and_back(num_frames: int) -> Tensor:
    """Frame order (f,) of a clip that runs forward, then backward to where it began.

    What `loop` trains on.
    """
    order = torch.arange(num_frames)
    return torch.minimum(order, num_frames - 1 - order)
