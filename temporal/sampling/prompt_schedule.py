"""Prompt travel: prompts at some frames of a clip, and every frame between two of them a weighted mean.

Shapes: f frames, m text tokens, e features.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

import torch
from torch import Tensor

from ..errors import InvalidInputError
from .interpolation import lerp, slerp

MODES = ("linear", "slerp", "hold")
LINE = re.compile(r"\s*(\d+)\s*:\s*(.*?)\s*,?\s*")


@dataclass(frozen=True)
class Weight:
    """A frame's prompt: (1 - weight) of keyframe number `start` and weight of the next, `end`."""

    start: int
    end: int
    weight: float


def parse_schedule(text: str, num_frames: int) -> tuple[tuple[int, str], ...]:
    """Prompts by frame from lines such as "0: a red circle", in the order of frames; empty lines are skipped.

    Raises:
        InvalidInputError: a line without a frame, a frame outside the clip or named twice, no lines at all.
    """
    prompts: dict[int, str] = {}
    for line in filter(str.strip, text.splitlines()):
        match = LINE.fullmatch(line)
        if match is None:
            raise InvalidInputError(
                f"The line {line.strip()!r} names no frame; write lines such as 0: a red circle."
            )
        frame = int(match[1])
        if frame >= num_frames:
            raise InvalidInputError(
                f"Frame {frame} is not in the clip: it has {num_frames} frames, 0 to {num_frames - 1}. Change the line or "
                "num_frames."
            )
        if frame in prompts:
            raise InvalidInputError(f"Frame {frame} has two prompts; each frame can have one.")
        prompts[frame] = match[2]
    if not prompts:
        raise InvalidInputError("The prompt schedule is empty; write lines such as 0: a red circle.")
    return tuple(sorted(prompts.items()))


def frame_weights(keyframes: Sequence[int], num_frames: int, hold: bool = False) -> tuple[Weight, ...]:
    """The weights of every frame; before the first keyframe and after the last its prompt holds.

    With `hold` each prompt lasts until the next one begins.
    """
    weights = []
    for frame in range(num_frames):
        passed = sum(key <= frame for key in keyframes)
        start, end = max(passed - 1, 0), min(passed, len(keyframes) - 1)
        span = keyframes[end] - keyframes[start]
        weight = (frame - keyframes[start]) / span if span and passed and not hold else 0.0
        weights.append(Weight(start, end, weight))
    return tuple(weights)


def travel(encoded: Sequence[Tensor], weights: Sequence[Weight], spherical: bool = False) -> Tensor:
    """Text of every frame (f m e), or pooled text (f e), of keyframes' (1 m e) or (1 e).

    Shorter texts are repeated, which attention does not notice.
    """
    tokens = lcm(*(text.shape[1] for text in encoded)) if encoded[0].ndim == 3 else None
    texts = [text[0] if tokens is None else text[0].repeat(tokens // text.shape[1], 1) for text in encoded]
    mix = slerp if spherical else lerp
    return torch.cat(
        [
            mix(texts[part.start], texts[part.end], torch.tensor([part.weight]))
            if part.weight
            else texts[part.start][None]
            for part in weights
        ]
    )


def curves_of(weights: Sequence[Weight], keyframes: int) -> list[list[float]]:
    """The weight of each keyframe's prompt in every frame."""
    return [
        [(1 - part.weight) * (part.start == key) + part.weight * (part.end == key) for part in weights]
        for key in range(keyframes)
    ]


def describe(keyframes: Sequence[tuple[int, str]], weights: Sequence[Weight]) -> str:
    """The weights of every frame as lines to read."""
    lines = []
    for frame, part in enumerate(weights):
        shares = [(1 - part.weight, keyframes[part.start][1]), (part.weight, keyframes[part.end][1])]
        lines.append(
            f"{frame}: " + " + ".join(f"{share:.2f} {prompt!r}" for share, prompt in shares if share)
        )
    return "\n".join(lines)
