"""All that a LATENT of ours carries beside `samples`: its frame rate, and which of its frames are given.

`video_ldm_fps`: frames per second. `video_ldm_known` (f,): 1 = the frame is given. `video_ldm_given` (f 2): which of the
given frames each one is, counted in the order of giving, -1 = none; and 1 = it was an image.

Shapes: f frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...temporal.errors import InvalidInputError

FPS_KEY = "video_ldm_fps"
KNOWN_KEY = "video_ldm_known"
GIVEN_KEY = "video_ldm_given"


def frame_rate(latent: Mapping[str, Any], otherwise: float) -> float:
    """Frames per second that a LATENT carries, or another number when it carries none. Raises InvalidInputError for 0."""
    fps = float(latent.get(FPS_KEY, otherwise))
    if not fps > 0:
        raise InvalidInputError(f"A frame rate must be above 0 frames per second, but fps is {fps}.")
    return fps


def film_rate(latent: Mapping[str, Any], fps: float) -> float:
    """Frames per second of a film: `fps`, or where it is 0 those that the LATENT carries.

    Raises InvalidInputError when neither says.
    """
    found = fps or latent.get(FPS_KEY, 0.0)
    if not found > 0:
        raise InvalidInputError(
            "The clip carries no frame rate, as it was not made by Video KSampler or Latent Interpolate. Set fps to its "
            "frames per second; 8 is usual for keyframes with temporal layers, 24 to 30 for film."
        )
    return float(found)


def given_numbers(latent: Mapping[str, Any]) -> Tensor:
    """Number of the given frame that each frame of a LATENT is (f 2), see above; in their order where no record is left."""
    if GIVEN_KEY in latent:
        return latent[GIVEN_KEY]
    known = latent.get(KNOWN_KEY, torch.zeros(len(latent["samples"]))).cpu().long()
    return torch.stack([known.cumsum(0) * known - 1, known], dim=1)
