"""Likeness of each frame to the image that is animated: what PIA reads as the amount of motion.

Shapes: f frames.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InvalidInputError

CUSTOM = "custom"
# by distance in frames from the image, the last one for all beyond (the lists that PIA's authors recommend)
PRESETS: Mapping[str, tuple[float, ...]] = {
    "small": (1.0, 0.9, 0.85, 0.85, 0.85, 0.8),
    "medium": (1.0, 0.8, 0.8, 0.8, 0.79, 0.78, 0.75),
    "large": (1.0, 0.8, *[0.7] * 8, 0.6, 0.5, 0.5),
    "loop small": (1.0, 0.9, *[0.85] * 3, *[0.8] * 7, 0.85, 0.85, 0.9, 1.0),
    "loop medium": (1.0, *[0.8] * 3, 0.79, 0.78, *[0.75] * 5, 0.78, 0.79, 0.8, 0.8, 1.0),
    "loop large": (1.0, 0.8, *[0.7] * 4, 0.6, 0.5, 0.5, 0.6, *[0.7] * 4, 0.8, 1.0),
    "style small": (0.5, 0.4, 0.4, 0.4, 0.35, 0.3),
    "style medium": (0.5, 0.4, 0.4, 0.4, 0.35, 0.35, 0.3, 0.25, 0.2),
    "style large": (0.5, 0.2),
}


@dataclass(frozen=True)
class MotionAmount:
    """Amount of motion of an animated image.

    Affinities by distance in frames, for PIA; `frame_weight` for AnimateLCM-I2V.

    `loop`: the list is one round, stretched to the length of the clip.
    """

    affinities: tuple[float, ...] = PRESETS["small"]
    loop: bool = False
    frame_weight: float = 0.8

    @property
    def keeps_image(self) -> bool:
        """True if the given frame itself comes out as it was.

        With an affinity below 1 it is drawn anew, in another style.
        """
        return self.affinities[0] == 1

    def of_frames(self, distances: Tensor) -> Tensor:
        """Affinities (f,) of the frames of a clip from their distances (f,) to the image, whole numbers."""
        values = torch.tensor(self.affinities)
        if not self.loop:
            return values[distances.clamp(max=len(values) - 1)]
        places = distances * (len(values) - 1) / max(len(distances) - 1, 1)
        before = places.floor().long()
        after = (before + 1).clamp(max=len(values) - 1)
        return torch.lerp(values[before], values[after], places - before)


def chosen(preset: str, custom: str, frame_weight: float) -> MotionAmount:
    """Read an artist's choice: a name in `PRESETS`, or "custom" and a text such as "1, 0.9, 0.85".

    Raises:
        InvalidInputError: an unknown name, no list, or something in it that is no number from 0 to 1.
    """
    if preset == CUSTOM:
        return MotionAmount(parse_affinities(custom), False, frame_weight)
    if preset not in PRESETS:
        raise InvalidInputError(f"Unknown motion {preset!r}; choose from {', '.join((*PRESETS, CUSTOM))}.")
    return MotionAmount(PRESETS[preset], preset.startswith("loop"), frame_weight)


def parse_affinities(text: str) -> tuple[float, ...]:
    """Numbers from 0 to 1 with commas between."""
    values = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            value = float(part)
        except ValueError:
            value = -1.0
        if not 0 <= value <= 1:
            raise InvalidInputError(
                f"{part!r} is no affinity; write numbers from 0 to 1 with commas between, such as 1, 0.9, "
                "0.85."
            )
        values.append(value)
    if not values:
        raise InvalidInputError("The list of affinities is empty; write numbers such as 1, 0.9, 0.85.")
    return tuple(values)
