"""Motion prompts: text that reaches the temporal layers and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.conds
import comfy.model_management as mm
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ....temporal.sampling.prompt_schedule import Weight, common_tokens, travel
from ....temporal.sampling.schedules.prompt_lines import names_places, parse_schedule, prompts_of_segments
from ..layers.controls import FrameControls
from ..layers.per_frame import TEXT_COND, hints, odd_counts, rows, with_model_conds
from ..memory import free_memory


@dataclass(frozen=True)
class MotionPrompt:
    """Text for the temporal layers alone: positive and negative (1 m e)."""

    positive: Tensor
    negative: Tensor


@dataclass(frozen=True)
class FilmPlan:
    """A film of segments: the first new frame of each, the number of all frames, and their rate."""

    firsts: tuple[int, ...]
    num_frames: int
    fps: float

    @property
    def described(self) -> str:
        """Sentence on its length."""
        seconds = self.num_frames / self.fps
        return f"{seconds:g} seconds are {self.num_frames} frames in {len(self.firsts)} segments."


def encode_motion(clip: Any, text: str, negative_text: str) -> MotionPrompt:
    """Encode a motion prompt with the host's text encoder."""
    if clip is None:
        raise InvalidInputError(
            "Motion Prompt was given no text encoder: the checkpoint holds none. Connect a CLIP from Load "
            "CLIP or from a checkpoint that has one."
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
            "CLIP or from a checkpoint that has one."
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


def segment_prompts(
    clip: Any, positive: list, text: str, film: FilmPlan, tell: Callable[[str], None] = lambda sentence: None
) -> list[list]:
    """CONDITIONING of each segment of a film, each prompt encoded once.

    Prompts at places, or one line for each segment, of which an empty one keeps the one before; before the
    first prompt `positive` holds. `tell` hears where prompts begin later than written.

    Raises InvalidInputError for text without a text encoder, more lines than segments, and places that cannot
    be read or that no segment follows.
    """
    if not text.strip():
        return [positive] * len(film.firsts)
    if clip is None:
        raise InvalidInputError("Extend Video was given prompts but no CLIP to encode them; connect one.")
    begun = _begun(text, film, tell)
    encoded = {
        line: clip.encode_from_tokens_scheduled(clip.tokenize(line)) for line in dict.fromkeys(begun.values())
    }
    prompts, current = [], positive
    for number in range(len(film.firsts)):
        current = encoded[begun[number]] if number in begun else current
        prompts.append(current)
    return prompts


def _begun(text: str, film: FilmPlan, tell: Callable[[str], None]) -> dict[int, str]:
    """Prompt that begins with a segment, by the segment's number from 0."""
    if names_places(text):
        keyframes = parse_schedule(text, film.num_frames, film.fps)
        begun = prompts_of_segments(keyframes, film.firsts)
        later = [
            f"{frame} at {film.firsts[number]}"
            for (frame, _), number in zip(keyframes, begun, strict=True)
            if film.firsts[number] > max(frame, film.firsts[0])
        ]
        if later:
            tell(f"Prompts begin with segments, later than written: that of frame {', '.join(later)}.")
        return begun
    begun = {row: line.strip() for row, line in enumerate(text.rstrip().splitlines()) if line.strip()}
    if len(film.firsts) <= max(begun):
        raise InvalidInputError(
            f"There are {max(begun) + 1} lines of prompts for {len(film.firsts)} segments; give one line for "
            "each, or more segments, or begin lines with places such as 20s: a dog."
        )
    return begun


def _check_memory(texts: Sequence[Tensor], num_frames: int) -> None:
    """Refuse a text per frame (f m e) that half of the free memory has no room for."""
    _, _, features = texts[0].shape
    per_frame = (common_tokens(texts) or texts[0].shape[1]) * features * texts[0].element_size()
    room = free_memory(texts[0].device) / 2
    if num_frames * per_frame > room:
        raise InvalidInputError(
            f"A text for each of {num_frames} frames takes {num_frames * per_frame / 1e9:.1f} GB, and only "
            f"half of the {2 * room / 1e9:.1f} GB of free memory may be used for it; lower num_frames to "
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
