"""Tiles in space: a frame that is too large is denoised in parts that overlap, at every step.

Shapes: n frames, c channels, h w size of the given frames, H W size of the enlarged ones.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

from .config import UpscalerConfig


@dataclass(frozen=True)
class Tile:
    """Given pixels from `start` to `stop` that are kept, computed with those from `low` to `high`.

    Along one side.
    """

    low: int
    start: int
    stop: int
    high: int


def tiles_along(length: int, tile: int, config: UpscalerConfig) -> list[Tile]:
    """Tiles that cover a side, with `config.reach` around each.

    `tile` given pixels long; 0: one for the whole side.
    """
    step = config.multiple
    if tile == 0 or tile >= length:
        return [Tile(0, 0, length, length)]
    size, around = _round_up(tile, step), _round_up(config.reach, step)
    starts = range(0, length, size)
    return [
        Tile(max(0, start - around), start, min(length, start + size), min(length, start + size + around))
        for start in starts
    ]


def in_tiles(
    predict: Callable[[Tensor, Tensor], Tensor],
    noisy: Tensor,
    given: Tensor,
    tile: int,
    config: UpscalerConfig,
) -> Tensor:
    """Evaluate `predict` of noisy (n c H W) and given (n c h w) tile by tile.

    (n c H W), as if evaluated at once.
    """
    s, (h, w) = config.scale, given.shape[2:]
    rows, columns = tiles_along(h, tile, config), tiles_along(w, tile, config)
    if len(rows) == len(columns) == 1:
        return predict(noisy, given)
    out = torch.empty_like(noisy)
    for y, x in product(rows, columns):
        part = predict(
            noisy[..., s * y.low : s * y.high, s * x.low : s * x.high],
            given[..., y.low : y.high, x.low : x.high],
        )
        top, left = s * (y.start - y.low), s * (x.start - x.low)
        height, width = s * (y.stop - y.start), s * (x.stop - x.start)
        out[..., s * y.start : s * y.stop, s * x.start : s * x.stop] = part[
            ..., top : top + height, left : left + width
        ]
    return out


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step
