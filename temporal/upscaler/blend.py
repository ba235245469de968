"""Tiles that are blended, for image models that look across the whole picture.

Such a model cannot be cut into tiles without a trace.

Shapes: n frames, c channels, h w size.
"""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from ..errors import InvalidInputError

Box = tuple[slice, slice]


def blended(evaluate: Callable[[Box], Tensor], x: Tensor, tile: int, overlap: int) -> Tensor:
    """The weighted mean (n c h w) of `evaluate` over tiles of x (n c h w).

    It is given the box of a tile to cut out.

    Tiles have `tile` places a side (0: the whole picture) and share `overlap`; weights fall linearly towards
    the edges.
    """
    rows, columns = (places(side, tile, overlap) for side in x.shape[2:])
    if len(rows) == len(columns) == 1:
        return evaluate((rows[0], columns[0]))
    total, weights = torch.zeros_like(x), torch.zeros_like(x[:1, :1])
    for row, column in product(rows, columns):
        made = evaluate((row, column))
        weight = ramp(made.shape[2], overlap).to(x)[:, None] * ramp(made.shape[3], overlap).to(x)
        total[..., row, column] += made * weight
        weights[..., row, column] += weight
    return total / weights


def places(length: int, tile: int, overlap: int) -> list[slice]:
    """Tiles along a side; the last one ends with it. Raises InvalidInputError when they would not move on."""
    if tile == 0 or tile >= length:
        return [slice(0, length)]
    if not 0 <= overlap < tile:
        raise InvalidInputError(
            f"Tiles of {tile} pixels cannot overlap by {overlap}; make them larger or the overlap smaller."
        )
    starts = [*range(0, length - tile, tile - overlap), length - tile]
    return [slice(start, start + tile) for start in starts]


def ramp(length: int, overlap: int) -> Tensor:
    """Weights (length,) that rise to 1 over the overlap and fall again."""
    place = torch.arange(length)
    return ((torch.minimum(place, place.flip(0)) + 1) / (overlap + 1)).clamp(max=1.0)
