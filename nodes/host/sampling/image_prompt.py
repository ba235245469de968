"""Pictures as prompts: what the host's image encoder says of them, on its way to the temporal layers."""

from __future__ import annotations

from typing import Any

import comfy.conds
import torch
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ..layers.per_frame import PICTURE_COND, with_model_conds

GREY = 0.5  # the picture that says nothing


def with_picture(clip_vision: Any, positive: list, negative: list, image: Tensor) -> tuple[list, list]:
    """Both CONDITIONINGs, the first with a picture (1 h w 3), the second with a grey one.

    The inputs stay as they were.

    Raises InvalidInputError for another number of pictures.
    """
    if len(image) != 1:
        raise InvalidInputError(
            f"Image Prompt was given {len(image)} images, but a clip is prompted with 1. Pick one with "
            "ImageFromBatch."
        )
    image = image[..., :3]
    shown = ((positive, image), (negative, torch.full_like(image, GREY)))
    first, second = (
        with_model_conds(conditioning, {PICTURE_COND: _features(clip_vision, picture)})
        for conditioning, picture in shown
    )
    return first, second


def _features(clip_vision: Any, image: Tensor) -> comfy.conds.CONDRegular:
    """Features of every patch (1 p g) of the whole picture, squeezed into a square.

    They are those of the encoder's last layer.
    """
    features = clip_vision.encode_image(image.float(), crop=False)["last_hidden_state"]
    return comfy.conds.CONDRegular(features)
