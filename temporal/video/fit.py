"""Pictures of one shape in frames of another: cropped, padded or stretched.

Sizes are (width, height) in pixels, frames (h w 3).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

CROP, PAD, STRETCH = FITS = ("crop", "pad", "stretch")
Size = tuple[int, int]


@dataclass(frozen=True)
class Fit:
    """A picture that is scaled to `scaled` and laid into the middle of a frame of size `asked`.

    What stands over is cut, what is left stays black.
    """

    scaled: Size
    asked: Size

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """A frame of a picture that has been scaled already; any type, colours last."""
        (left, right, x), (top, bottom, y) = (
            _middle(*lengths) for lengths in zip(self.scaled, self.asked, strict=True)
        )
        inside = picture[top:bottom, left:right]
        if self.scaled == self.asked or not (x or y or inside.shape[:2] != self.asked[::-1]):
            return inside
        frame = np.zeros((*self.asked[::-1], *picture.shape[2:]), picture.dtype)
        frame[y : y + inside.shape[0], x : x + inside.shape[1]] = inside
        return frame


def fit_into(given: Size, asked: Size, how: str) -> Fit:
    """The way from one size to another.

    crop covers the frame, pad shows the whole picture, stretch changes its proportions.
    """
    if how == STRETCH:
        return Fit(asked, asked)
    scales = [to / of for of, to in zip(given, asked, strict=True)]
    scale = max(scales) if how == CROP else min(scales)
    width, height = (max(1, round(scale * length)) for length in given)
    return Fit((width, height), asked)


def frame_size(given: Size, width: int, height: int, grid: int = 8) -> Size:
    """Size of frames where 0 keeps the film's own, or its proportions where the other is given.

    Multiples of `grid`.
    """
    if not width and not height:
        width, height = given
    elif not width:
        width = round(given[0] * height / given[1])
    elif not height:
        height = round(given[1] * width / given[0])
    return _down(width, grid), _down(height, grid)


def _down(length: int, grid: int) -> int:
    return max(grid, grid * math.floor(length / grid))


def _middle(scaled: int, asked: int) -> tuple[int, int, int]:
    """The part of a length that is shown, and where it begins in the frame."""
    over = max(0, scaled - asked)
    return over // 2, over // 2 + min(scaled, asked), max(0, asked - scaled) // 2
