"""Motion prompts: text that reaches the temporal layers and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.conds
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ....temporal.sampling.prompt_schedule import Weight, travel
from ..layers.insertion import TEXT_COND
from .controls import FrameControls


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


def encode_schedule(
    clip: Any, keyframes: Sequence[tuple[int, str]], weights: Sequence[Weight], spherical: bool
) -> list:
    """CONDITIONING with a text for every frame (f m e); each keyframe's prompt is encoded once."""
    if clip is None:
        raise InvalidInputError(
            "Prompt Schedule was given no text encoder: the checkpoint holds none. Connect a CLIP from Load CLIP or from a "
            "checkpoint that has one."
        )
    encoded = {
        text: clip.encode_from_tokens_scheduled(clip.tokenize(text))[0]
        for text in {prompt for _, prompt in keyframes}
    }
    keys = [encoded[text] for _, text in keyframes]
    options = dict(keys[0][1])
    if all(options.get("pooled_output") is not None for _, options in keys):
        options["pooled_output"] = travel(
            [options["pooled_output"] for _, options in keys], weights, spherical
        )
    return [[travel([tensor for tensor, _ in keys], weights, spherical), options]]


def at_frames(conditioning: list, frames: Sequence[int], controls: FrameControls) -> list:
    """CONDITIONING of some frames of a clip: prompts that differ between frames keep to theirs, the last one goes on.

    Its ControlNets become those of `controls`.
    """
    return [
        [
            _rows(tensor, frames),
            {**options, **_pooled_rows(options, frames), **_cut_control(options, controls)},
        ]
        for tensor, options in conditioning
    ]


def _rows(tensor: Tensor, frames: Sequence[int]) -> Tensor:
    if tensor.shape[0] == 1:
        return tensor
    return tensor[[min(frame, tensor.shape[0] - 1) for frame in frames]]


def _pooled_rows(options: Mapping[str, Any], frames: Sequence[int]) -> dict[str, Tensor]:
    pooled = options.get("pooled_output")
    return {} if pooled is None else {"pooled_output": _rows(pooled, frames)}


def _cut_control(options: Mapping[str, Any], controls: FrameControls) -> dict[str, Any]:
    control = options.get("control")
    return {} if control is None else {"control": controls.of(control)}
