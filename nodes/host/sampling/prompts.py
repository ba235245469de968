"""Motion prompts: text that reaches the temporal layers and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.conds
import comfy.model_management as mm
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ....temporal.sampling.prompt_schedule import Weight, common_tokens, travel
from ..layers.controls import FrameControls
from ..layers.per_frame import TEXT_COND, hints, odd_counts, rows, with_model_conds
from ..memory import free_memory


@dataclass(frozen=True)
class MotionPrompt:
    """Text for the temporal layers alone: positive and negative (1 m e)."""

    positive: Tensor
    negative: Tensor


def encode_motion(clip: Any, text: str, negative_text: str) -> MotionPrompt:
    """Encode a motion prompt with the host's text encoder."""
    if clip is None:
        raise InvalidInputError(
            "Motion Prompt was given no text encoder: the checkpoint holds none. Connect a CLIP from Load "
            "CLIP or from "
            "a checkpoint that has one."
        )
    positive, negative = (
        clip.encode_from_tokens_scheduled(clip.tokenize(prompt))[0][0] for prompt in (text, negative_text)
    )
    return MotionPrompt(positive, negative)


def with_motion(conditioning: list, text: Tensor) -> list:
    """CONDITIONING whose temporal layers read `text` (1 m e); the input is left as it was."""
    return with_model_conds(conditioning, {TEXT_COND: comfy.conds.CONDCrossAttn(text)})


def encode_schedule(
    clip: Any, keyframes: Sequence[tuple[int, str]], weights: Sequence[Weight], spherical: bool
) -> list:
    """CONDITIONING with a text for every frame (f m e); each keyframe's prompt is encoded once.

    Raises InvalidInputError without a text encoder, and for more frames than half of the free memory has room
    for.
    """
    if clip is None:
        raise InvalidInputError(
            "Prompt Schedule was given no text encoder: the checkpoint holds none. Connect a CLIP from Load "
            "CLIP or from a "
            "checkpoint that has one."
        )
    encoded: dict[str, Any] = {}
    for _, text in keyframes:
        if text not in encoded:
            mm.throw_exception_if_processing_interrupted()
            encoded[text] = clip.encode_from_tokens_scheduled(clip.tokenize(text))[0]
    keys = [encoded[text] for _, text in keyframes]
    _check_memory([tensor for tensor, _ in keys], len(weights))
    options = dict(keys[0][1])
    if all(options.get("pooled_output") is not None for _, options in keys):
        options["pooled_output"] = travel(
            [options["pooled_output"] for _, options in keys], weights, spherical
        )
    return [[travel([tensor for tensor, _ in keys], weights, spherical), options]]


def _check_memory(texts: Sequence[Tensor], num_frames: int) -> None:
    """Refuse a text per frame (f m e) that half of the free memory has no room for."""
    _, _, features = texts[0].shape
    per_frame = (common_tokens(texts) or texts[0].shape[1]) * features * texts[0].element_size()
    room = free_memory(texts[0].device) / 2
    if num_frames * per_frame > room:
        raise InvalidInputError(
            f"A text for each of {num_frames} frames takes {num_frames * per_frame / 1e9:.1f} GB, and only "
            f"half of the "
            f"{2 * room / 1e9:.1f} GB of free memory may be used for it; lower num_frames to "
            f"{int(room // per_frame)} or less."
        )


def at_frames(conditioning: list, frames: Sequence[int], controls: FrameControls) -> list:
    """CONDITIONING of some frames of a clip.

    Prompts that differ between frames keep to theirs, the last one goes on.

    Its ControlNets become those of `controls`.
    """
    return [
        [
            rows(tensor, frames),
            {**options, **_pooled_rows(options, frames), **_cut_control(options, controls)},
        ]
        for tensor, options in conditioning
    ]


def _pooled_rows(options: Mapping[str, Any], frames: Sequence[int]) -> dict[str, Tensor]:
    pooled = options.get("pooled_output")
    return {} if pooled is None else {"pooled_output": rows(pooled, frames)}


def _cut_control(options: Mapping[str, Any], controls: FrameControls) -> dict[str, Any]:
    control = options.get("control")
    return {} if control is None else {"control": controls.of(control)}


def remarks_of(
    conditionings: Sequence[list], frames: int, texts_for: int | None = None, what: str = "frames"
) -> list[str]:
    """Remarks on CONDITIONINGs for a clip of so many frames that is sampled in parts.

    `texts_for`: how many texts would be one for each of `what`, where these are not its frames.
    """
    pairs = [pair for conditioning in conditionings for pair in conditioning]
    found = [count for _, options in pairs for count in hints(options.get("control"))]
    texts = [len(tensor) for tensor, _ in pairs]
    return [*odd_counts(texts, (), texts_for or frames, what), *odd_counts((), found, frames)]
