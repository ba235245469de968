"""Windows in time over a stream whose length is not known.

Where they lie depends on the clip, not on how it arrives.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from torch import Tensor

from ..errors import InvalidInputError

T = TypeVar("T")


def window_weights(length: int) -> list[float]:
    """Weights of the frames of a window with which windows blend without a cut.

    1 at its ends, rising to the middle.
    """
    return [float(min(place + 1, length - place)) for place in range(length)]


def fused(
    items: Iterable[T], length: int, overlap: int, evaluate: Callable[[Sequence[T]], Tensor]
) -> Iterator[tuple[T, Tensor]]:
    """Each item with its value, blended over the windows that hold it.

    Windows are `length` items long and share `overlap`; the last one ends with the clip. A shorter clip is
    one window. `evaluate` gives the values of a window, (n ...). At most `length` items wait at a time.
    """
    source = iter(items)
    waiting: list[T] = list(islice(source, length))
    sums: list[tuple[Tensor, float]] = []  # of the first of them, which a window before this one held too
    while waiting:
        weights = window_weights(len(waiting))
        for place, (value, weight) in enumerate(zip(evaluate(waiting), weights, strict=True)):
            if place == len(sums):
                sums.append((value * weight, weight))
            else:
                sums[place] = sums[place][0] + value * weight, sums[place][1] + weight
        fresh = list(islice(source, length - overlap))
        done = len(fresh) or len(waiting)
        for item, (value, weight) in zip(waiting[:done], sums[:done], strict=True):
            yield item, value / weight
        waiting, sums = [*waiting[done:], *fresh], sums[done:]


def check_windows(length: int, overlap: int) -> None:
    """Refuse windows that do not move on."""
    if length < 1 or not 0 <= overlap < length:
        raise InvalidInputError(
            f"Windows of {length} frames cannot overlap by {overlap}; make them longer or the overlap "
            "shorter."
        )
