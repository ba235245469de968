"""A film at another frame rate: how many frames it has then, and which frames of it each one shows.

Times are fractions, so that no rounding moves a frame.

A mix is what one new frame is made of: pairs (old frame, share of it), whose shares add up to 1.
"""

from __future__ import annotations

import math
from fractions import Fraction

from ..errors import InvalidInputError

NEAREST, BLEND = METHODS = ("drop or repeat", "blend")
FINEST = 100_000  # denominator up to which a rate is a fraction: 23.976 is 2997/125, NTSC's is 24000/1001

Mix = tuple[tuple[int, float], ...]


def exact_rate(fps: float) -> Fraction:
    """Frames per second as a fraction. Raises InvalidInputError for what is no rate."""
    if not (math.isfinite(fps) and fps > 0):
        raise InvalidInputError(f"A frame rate is a number above 0 frames per second, but fps is {fps}.")
    return Fraction(fps).limit_denominator(FINEST) or Fraction(1, FINEST)


def frames_in(seconds: float, fps: float) -> int:
    """Number of frames nearest to a length in seconds, one at least.

    Raises InvalidInputError for a length that is none.
    """
    if not (math.isfinite(seconds) and seconds > 0):
        raise InvalidInputError(f"A clip lasts more than 0 seconds, but seconds is {seconds}.")
    return _nearest(Fraction(seconds).limit_denominator(FINEST) * exact_rate(fps))


def frames_at(count: int, before: float, after: float) -> int:
    """Number of frames of a film of `count` at `before` frames per second when it has `after`.

    It lasts as long, to half a frame.
    """
    return _nearest(count * exact_rate(after) / exact_rate(before))


def mixes(count: int, before: float, after: float, method: str) -> list[Mix]:
    """Mix of every frame of a film of `count` at `before` frames per second when it has `after`.

    NEAREST shows the frame that was seen in the middle of the new one, so that none is lost where there are
    more than before, and at its start where there are fewer, so that the first one stays. BLEND mixes the two
    neighbours by their nearness in time where there are more, and all that the new frame lasts where there
    are fewer.
    """
    step = exact_rate(before) / exact_rate(after)  # old frames that a new one lasts
    starts = [number * step for number in range(frames_at(count, before, after))]
    if method == NEAREST:
        seen_at = step / 2 if step < 1 else 0
        return [((min(math.floor(start + seen_at), count - 1), 1.0),) for start in starts]
    return [_during(start, step, count) if step > 1 else _at(start, count) for start in starts]


def _at(moment: Fraction, count: int) -> Mix:
    """The two frames around a moment; behind the last one nothing moves."""
    first = math.floor(moment)
    share = float(moment - first)
    if not share or first == count - 1:
        return ((first, 1.0),)
    return ((first, 1.0 - share), (first + 1, share))


def _during(start: Fraction, step: Fraction, count: int) -> Mix:
    """Every frame that is seen in a time, by how long; what is left of it behind the film counts not."""
    end = min(start + step, Fraction(count))
    numbers = range(math.floor(start), math.ceil(end))
    seen = {number: min(end, number + 1) - max(start, number) for number in numbers}
    whole = sum(seen.values())
    return tuple((number, float(part / whole)) for number, part in seen.items())


def _nearest(number: Fraction) -> int:
    """The nearest whole number from 1 on; halves go up."""
    return max(1, math.floor(number + Fraction(1, 2)))
