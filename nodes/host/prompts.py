"""Motion prompts: text that reaches the temporal layers and nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.conds
from torch import Tensor

from ...temporal.errors import InvalidInputError
from .insertion import TEXT_COND


@dataclass(frozen=True)
class MotionPrompt:
    """Text for the temporal layers alone: positive and negative (1 m e)."""

    positive: Tensor
    negative: Tensor


def encode_motion(clip: Any, text: str, negative_text: str) -> MotionPrompt:
    """Encode a motion prompt with the host's text encoder."""
    if clip is None:
        raise InvalidInputError(
            "Motion Prompt was given no text encoder: the checkpoint holds none. Connect a CLIP from Load CLIP or from "
            "a checkpoint that has one."
        )
    positive, negative = (
        clip.encode_from_tokens_scheduled(clip.tokenize(prompt))[0][0] for prompt in (text, negative_text)
    )
    return MotionPrompt(positive, negative)


def with_motion(conditioning: list, text: Tensor) -> list:
    """CONDITIONING whose temporal layers read `text` (1 m e); the input is left as it was."""
    cond = comfy.conds.CONDCrossAttn(text)
    return [
        [tensor, {**options, "model_conds": {**options.get("model_conds", {}), TEXT_COND: cond}}]
        for tensor, options in conditioning
    ]
