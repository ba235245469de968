"""Places of new nodes on the page: that of the old one, or the nearest one that is free.

x, y, width and height in pixels; the title of a node lies above its y.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from math import hypot
from typing import Any, NamedTuple

from .old import SEEDS
from .targets import Target

TITLE, GAP = 30, 12
SLOT, WIDGET, LINES = 20, 24, 90  # heights; a text of several lines has as much more
EDGE, EDGE_WITH_WIDGETS = 6, 14
WIDTH = 315
LONG_TEXTS = ("prompts", "values", "text")
CELL = 400  # what is near is looked up by squares
STRIDE, REACH = 40, 20  # places that are tried lie so far apart, up to so many strides away
TRIES = 15_000  # in one graph; further nodes go below everything
OFFSETS = sorted(
    ((STRIDE * x, STRIDE * y) for x in range(-REACH, REACH + 1) for y in range(-REACH, REACH + 1)),
    key=lambda offset: hypot(*offset),
)


class Box(NamedTuple):
    """Corners of a node, its title included."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """True if two lie less than a gap apart."""
        return (
            self.left < other.right + GAP
            and other.left < self.right + GAP
            and self.top < other.bottom + GAP
            and other.top < self.bottom + GAP
        )


class TakenPlaces:
    """Taken places of the page."""

    def __init__(self, kept: Iterable[Mapping[str, Any]]) -> None:
        self._cells: dict[tuple[int, int], list[Box]] = defaultdict(list)
        self._below, self._next = 0.0, 0.0
        self._tries = TRIES
        for raw in kept:
            x, y = pair(raw.get("pos"))
            width, height = pair(raw.get("size"))
            flags = raw.get("flags")
            collapsed = isinstance(flags, Mapping) and bool(flags.get("collapsed"))
            self._take(Box(x, y - TITLE, x + width, y if collapsed else y + height))

    def nearest(self, x: float, y: float, width: float, height: float) -> tuple[float, float]:
        """A free place for a node that would lie at x, y; it is taken then."""
        for right, down in OFFSETS:
            if not self._tries:
                break
            self._tries -= 1
            box = Box(x + right, y + down - TITLE, x + right + width, y + down + height)
            if not any(box.meets(other) for cell in _cells(box) for other in self._cells.get(cell, ())):
                self._take(box)
                return x + right, y + down
        place = self._next, self._below + TITLE + 4 * GAP
        self._next += width + GAP
        return place

    def _take(self, box: Box) -> None:
        for cell in _cells(box):
            self._cells[cell].append(box)
        self._below = max(self._below, box.bottom)


def _cells(box: Box) -> Iterator[tuple[int, int]]:
    """Squares that a box and the gap around it reach into; of one that is no box the first ones."""
    columns = range(int((box.left - GAP) // CELL), int((box.right + GAP) // CELL) + 1)
    rows = range(int((box.top - GAP) // CELL), int((box.bottom + GAP) // CELL) + 1)
    return ((column, row) for column in columns[:64] for row in rows[:64])


def size_of(target: Target, sockets: int) -> tuple[float, float]:
    """Width and height of a new node as the page draws it; `sockets`: its inputs that are no widgets."""
    widgets = [part for part in target.inputs if part.widget]
    height = SLOT * max(sockets, len(target.outputs)) + (EDGE_WITH_WIDGETS if widgets else EDGE)
    height += WIDGET * (len(widgets) + sum(part.name in SEEDS for part in widgets))
    height += LINES * sum(part.name in LONG_TEXTS for part in widgets)
    return WIDTH, height


def pair(value: Any) -> tuple[float, float]:
    """Two numbers, which old graphs hold as {"0": x, "1": y}."""
    parts: Any = [value.get("0"), value.get("1")] if isinstance(value, Mapping) else value
    if (
        isinstance(parts, list)
        and len(parts) >= 2
        and all(isinstance(part, int | float) and abs(part) < 1e9 for part in parts[:2])
    ):
        return parts[0], parts[1]
    return 0.0, 0.0
