"""Numbers that change along a clip: written for some frames, and a straight line between them.

Shapes: f frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ...errors import InvalidInputError
from .expressions import evaluate
from .places_in_time import Keyed, filled, keyed

INTERPOLATIONS = LINEAR, HOLD = ("linear", "hold")
QUOTED = re.compile(r'"([^"]{1,60})"\s*:\s*(.*)', re.DOTALL)
EQUALS = re.compile(r"([^=()]{1,60}?)\s*=\s*(.*)", re.DOTALL)
PLAIN = re.compile(r"([^:()]{1,60}?)\s*:\s*(.*)", re.DOTALL)
AROUND = {"(": ")", "[": "]", '"': '"', "'": "'"}


def parse_values(text: str, num_frames: int, interpolation: str = LINEAR) -> list[float]:
    """A number for every frame from "0: 1, 8: 1.5"; sums may have t, the frame, and max_f, the last one.

    Raises:
        InvalidInputError: what cannot be read, or nothing at all.
    """
    parts: list[Keyed] = []
    for entry in filter(None, _entries(text)):
        found = QUOTED.fullmatch(entry) or EQUALS.fullmatch(entry) or PLAIN.fullmatch(entry)
        if found is None:
            raise InvalidInputError(
                f"{entry[:60]!r} names no frame; write numbers by frame, such as 0: 1, 8: 1.5."
            )
        parts += keyed(found[1].strip(), _bare(found[2]), num_frames)
    if not parts:
        raise InvalidInputError(
            "The schedule of values is empty; write numbers by frame, such as 0: 1, 8: 1.5."
        )
    return _along(filled(parts), num_frames, interpolation)


def _entries(text: str) -> Iterator[str]:
    """Parts between commas and line breaks that are in no brackets."""
    depth, begun = 0, []
    for letter in text.strip().strip("{}"):
        depth += (letter in "([") - (letter in ")]")
        if letter in ",\n" and depth <= 0:
            yield "".join(begun).strip()
            begun = []
        else:
            begun.append(letter)
    yield "".join(begun).strip()


def _bare(text: str) -> str:
    text = text.strip()
    while len(text) > 1 and AROUND.get(text[0]) == text[-1] and ")" not in text[1:-1].split("(")[0]:
        text = text[1:-1].strip()
    return text


def _along(keys: Sequence[tuple[int, str]], num_frames: int, interpolation: str) -> list[float]:
    frames = [frame for frame, _ in keys]
    numbers = []
    passed = 0
    for frame in range(num_frames):
        while passed < len(keys) and frames[passed] <= frame:
            passed += 1
        before, after = keys[max(passed - 1, 0)], keys[min(passed, len(keys) - 1)]
        value = _at(before[1], frame, num_frames)
        if _constant(before[1]) and interpolation == LINEAR and before[0] <= frame < after[0]:
            share = (frame - before[0]) / (after[0] - before[0])
            value += share * (_at(after[1], after[0], num_frames) - value)
        numbers.append(value)
    return numbers


def _constant(text: str) -> bool:
    return re.search(r"[a-zA-Z]", text) is None


def _at(text: str, frame: int, num_frames: int) -> float:
    return evaluate(text, {"t": frame, "max_f": num_frames - 1})
