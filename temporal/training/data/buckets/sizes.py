"""Sizes that films of different shapes are trained at, all of about the same area."""

from __future__ import annotations

from math import log, sqrt

from ....errors import InvalidInputError

Size = tuple[int, int]  # width, height in pixels
ASPECTS = (9 / 16, 3 / 4, 1.0, 4 / 3, 16 / 9, 7 / 3)  # width by height: of phones, pictures, films
MOST_OF_AREA = 4 / 3  # times the wanted one, or less than it
LEAST_SHOWN = 0.5  # of a film; one that would be cropped to less is left out


def bucket_sizes(size: Size, multiple: int) -> tuple[Size, ...]:
    """The wanted size, and others of about its area, whose sides are multiples of a number.

    Raises InvalidInputError for a wanted size whose sides are not.
    """
    width, height = size
    if width % multiple or height % multiple:
        raise InvalidInputError(
            f"The size is {width}x{height}, but buckets of this image model need sides that are multiples "
            f"of {multiple}; give such a size, e.g. {_up(width, multiple)}x{_up(height, multiple)}, or leave "
            "the buckets out."
        )
    sizes, area = [size], width * height
    for aspect in ASPECTS:
        sides = sqrt(area * aspect), sqrt(area / aspect)
        across, along = (multiple * round(side / multiple) for side in sides)
        fits = across * along and max(across * along / area, area / (across * along)) <= MOST_OF_AREA
        if fits and (across, along) not in sizes:
            sizes.append((across, along))
    return tuple(sizes)


def nearest_size(shown: Size, sizes: tuple[Size, ...]) -> Size:
    """The size of most alike shape.

    Raises InvalidInputError for a film of which it would show too little.
    """
    aspect = shown[0] / shown[1]
    nearest = min(sizes, key=lambda size: abs(log(aspect * size[1] / size[0])))
    share = aspect * nearest[1] / nearest[0]
    if min(share, 1 / share) < LEAST_SHOWN:
        raise InvalidInputError(
            f"it is {shown[0]}x{shown[1]}, of which the nearest bucket, {nearest[0]}x{nearest[1]}, would "
            f"show {100 * min(share, 1 / share):.0f} %"
        )
    return nearest


def longest_run(frames: int, lengths: tuple[int, ...], stride: int) -> int | None:
    """The longest of some lengths that a clip has at a stride; None: it is too short for all."""
    return max((length for length in lengths if (length - 1) * stride < frames), default=None)


def _up(side: int, multiple: int) -> int:
    return multiple * max(1, round(side / multiple))
