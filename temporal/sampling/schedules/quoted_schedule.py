"""Prompt schedules of FizzNodes and AnimateDiff-Evolved: "0": "a cat", "8": "a dog", or 0 = "a cat".

Texts before and after every prompt, numbers in backticks (`pw_a`, `sin(t)`), and what stands behind --neg is
the negative prompt.

Shapes: f frames.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...errors import InvalidInputError
from ..prompt_schedule import Weight
from .expressions import evaluate
from .places_in_time import filled, keyed
from .prompt_lines import is_time, nearest_frame

JSON_LIKE = re.compile(r'\s*"([^"\n]{1,60})"\s*:\s*"([^"]*)"\s*,?\s*')
EQUALS = re.compile(r'\s*([\d.:\-]{1,60})\s*=\s*"([^"]*)"\s*,?\s*')
BACKTICKS = re.compile(r"`([^`]*)`")
NEGATIVE = "--neg"


def is_quoted(text: str) -> bool:
    """True if a schedule begins in one of these spellings."""
    bare = _bare(text)
    return bool(JSON_LIKE.match(bare) or EQUALS.match(bare))


def parse_quoted(text: str, num_frames: int, fps: float) -> tuple[tuple[int, str], ...]:
    """Prompts by frame, in order; frames behind the end of the clip still say where prompts lead.

    Raises:
        InvalidInputError: what cannot be read, with the place.
    """
    bare, place, parts = _bare(text), 0, []
    pattern = JSON_LIKE if JSON_LIKE.match(bare) else EQUALS
    while place < len(bare):
        found = pattern.match(bare, place)
        if found is None:
            raise InvalidInputError(
                f"The schedule cannot be read from {bare[place : place + 40]!r} on; write entries such as "
                '"0": "a red circle", with commas between them.'
            )
        frame = str(nearest_frame(found[1], fps)) if is_time(found[1]) else found[1]
        parts += keyed(frame, found[2].strip(), num_frames)
        place = found.end()
    return filled(parts)


def _bare(text: str) -> str:
    text = text.strip()
    return text[1:-1].strip() if text.startswith("{") and text.endswith("}") else text


def with_texts(prompt: str, before: str, after: str) -> tuple[str, str]:
    """The positive and the negative prompt, with the texts around them.

    Commas between the parts are not doubled.
    """
    parts = [text.partition(NEGATIVE)[::2] for text in (before, prompt, after)]
    positive, negative = (
        ", ".join(filter(None, (part.strip().strip(",").strip() for part in side)))
        if before or after
        else side[1].strip()
        for side in zip(*parts, strict=True)
    )
    return positive, negative


def texts_at_frames(
    texts: Sequence[str], weights: Sequence[Weight], values: Mapping[str, Sequence[float]]
) -> tuple[list[str], list[Weight]]:
    """Texts that the frames read, and the weights of each frame among them.

    Numbers in backticks are put in.

    `values`: by name a number, or one for each frame of which the last goes on. Raises InvalidInputError for
    sums that are none.
    """
    if not any("`" in text for text in texts):
        return list(texts), list(weights)
    numbers: dict[str, int] = {}
    found = []
    for frame, part in enumerate(weights):
        now = {name: value[min(frame, len(value) - 1)] for name, value in values.items()}
        now |= {"t": frame, "max_f": len(weights) - 1}
        start, end = (
            numbers.setdefault(_spelled(texts[key], now), len(numbers)) for key in (part.start, part.end)
        )
        found.append(Weight(start, end, part.weight))
    return list(numbers), found


def _spelled(text: str, values: Mapping[str, float]) -> str:
    return BACKTICKS.sub(lambda match: f"{evaluate(match[1], values):.4g}", text)
