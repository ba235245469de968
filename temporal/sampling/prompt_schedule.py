"""Prompt travel: prompts at some frames of a clip, and every frame between two of them a weighted mean.

Shapes: f frames, m text tokens, e features.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import lcm

import torch
from torch import Tensor

from .interpolation import lerp, slerp

MODES = ("linear", "slerp", "hold")
LONGEST_WORDS = 60  # characters of a prompt that a message or the preview shows
PREVIEW_LINES = 500


@dataclass(frozen=True)
class Weight:
    """A frame's prompt: (1 - weight) of keyframe number `start` and weight of the next, `end`."""

    start: int
    end: int
    weight: float


def shortened(text: str) -> str:
    """Text that fits into a sentence."""
    return text if len(text) <= LONGEST_WORDS else f"{text[: LONGEST_WORDS - 3]}..."


def frame_weights(keyframes: Sequence[int], num_frames: int, hold: bool = False) -> tuple[Weight, ...]:
    """The weights of every frame; before the first keyframe and after the last its prompt holds.

    With `hold` each prompt lasts until the next one begins.
    """
    weights = []
    for frame in range(num_frames):
        passed = bisect_right(keyframes, frame)
        start, end = max(passed - 1, 0), min(passed, len(keyframes) - 1)
        span = keyframes[end] - keyframes[start]
        weight = (frame - keyframes[start]) / span if span and passed and not hold else 0.0
        weights.append(Weight(start, end, weight))
    return tuple(weights)


def travel(encoded: Sequence[Tensor], weights: Sequence[Weight], spherical: bool = False) -> Tensor:
    """Text of every frame (f m e), or pooled text (f e), of keyframes' (1 m e) or (1 e).

    Shorter texts are repeated, which attention does not notice.
    """
    tokens = common_tokens(encoded)
    texts = [text[0] if tokens is None else text[0].repeat(tokens // text.shape[1], 1) for text in encoded]
    mix = slerp if spherical else lerp
    made = texts[0].new_empty(len(weights), *texts[0].shape)
    for row, part in zip(made, weights, strict=True):
        start, end = texts[part.start], texts[part.end]
        row.copy_(mix(start, end, torch.tensor([part.weight]))[0] if part.weight else start)
    return made


def common_tokens(encoded: Sequence[Tensor]) -> int | None:
    """Tokens to which texts (1 m e) of any length can be repeated; None for pooled ones (1 e)."""
    return lcm(*(text.shape[1] for text in encoded)) if encoded[0].ndim == 3 else None


def curves_of(weights: Sequence[Weight], keyframes: int) -> list[list[float]]:
    """The weight of the prompt of each of the first `keyframes` in every frame."""
    return [
        [(1 - part.weight) * (part.start == key) + part.weight * (part.end == key) for part in weights]
        for key in range(keyframes)
    ]


def weights_text(keyframes: Sequence[tuple[int, str]], weights: Sequence[Weight]) -> str:
    """The weights of the frames as lines to read, of a long clip those of its beginning."""
    lines = []
    for frame, part in enumerate(weights[:PREVIEW_LINES]):
        shares = [(1 - part.weight, keyframes[part.start][1]), (part.weight, keyframes[part.end][1])]
        words = (f"{share:.2f} {shortened(prompt)!r}" for share, prompt in shares if share)
        lines.append(f"{frame}: " + " + ".join(words))
    if len(weights) > PREVIEW_LINES:
        lines.append(f"and so on, to frame {len(weights) - 1}")
    return "\n".join(lines)
