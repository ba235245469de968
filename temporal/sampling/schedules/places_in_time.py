"""Frames and runs of frames as schedules of other packs name them: 8, -1, 0.5, 0:12, 16.

Places may be sums such as max_f / 2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import InvalidInputError
from .expressions import evaluate

WHOLE = re.compile(r"-?\d{1,9}")
SHARE = re.compile(r"-?\d{0,9}\.\d{1,9}")


@dataclass(frozen=True)
class Keyed:
    """Value at a frame; `hold`: until the next one, without a mixture."""

    frame: int
    value: str
    hold: bool = False


def keyed(spec: str, value: str, num_frames: int) -> list[Keyed]:
    """Read an entry for a frame, or for both ends of a run of frames, of which the end is not part.

    Raises:
        InvalidInputError: a name of a frame that is none.
    """
    start, colon, end = spec.strip().partition(":")
    if not colon:
        return [Keyed(_frame(start, num_frames), value)]
    if not end.strip():
        return [Keyed(_frame(start, num_frames), value, hold=True)]
    first, last = sorted((_frame(start, num_frames), _frame(end, num_frames)))
    return [Keyed(first, value, hold=True), *([Keyed(last - 1, value)] if last - 1 > first else [])]


def _frame(text: str, num_frames: int) -> int:
    text = text.strip()
    if WHOLE.fullmatch(text):
        number = int(text)
    elif SHARE.fullmatch(text):
        number = round(float(text) * (num_frames - 1))
    else:
        number = int(evaluate(text, {"max_f": num_frames - 1}))
    number += num_frames if number < 0 else 0
    if number < 0:
        raise InvalidInputError(
            f"Frame {text[:60]} lies before the clip, which has {num_frames} frames. Change the schedule "
            "or num_frames."
        )
    return number


def filled(parts: Sequence[Keyed]) -> tuple[tuple[int, str], ...]:
    """Keyframes in order, each frame once, with one more at the end of everything that holds."""
    ordered = sorted({part.frame: part for part in parts}.values(), key=lambda part: part.frame)
    found = []
    for part, following in zip(ordered, [*ordered[1:], None], strict=True):
        found.append((part.frame, part.value))
        if part.hold and following is not None and following.frame - 1 > part.frame:
            found.append((following.frame - 1, part.value))
    return tuple(found)
