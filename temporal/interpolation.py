"""From keyframes to a clip four times as dense: pairs of neighbours, cuts between them, weighted means.

Shapes: f keyframes, k frames in between, c h w a latent, e features.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .errors import InvalidInputError

STRIDE = 4  # frames from one keyframe to the next: three in between (paper, section 3.3)
WEIGHTS = torch.arange(1, STRIDE) / STRIDE
PARALLEL = 1e-3  # radians below which two directions are one

Fill = Callable[[int, Tensor, Tensor], Tensor]


def refine(keyframes: Tensor, fill: Fill, loop: bool = False, cut_threshold: float = torch.inf) -> Tensor:
    """Clip ((f-1)*4+1 c h w) of keyframes (f c h w), which stay as they are; (f*4 c h w) with `loop`, back to the first.

    `fill(number, start, end)` makes the frames (3 c h w) between keyframes `number` and `number + 1`. Across a cut nothing
    is blended: each side holds its own keyframe.

    Raises:
        InvalidInputError: fewer than two keyframes.
    """
    if len(keyframes) < 2:
        raise InvalidInputError(
            f"Interpolation needs at least 2 keyframes, but the clip has {len(keyframes)}. Make a longer clip, or continue "
            "this one with Extend Video."
        )
    ends = torch.cat([keyframes, keyframes[:1]]) if loop else keyframes
    parts = []
    for number in range(len(ends) - 1):
        start, end = ends[number], ends[number + 1]
        between = hold(start, end) if difference(start, end) > cut_threshold else fill(number, start, end)
        parts += [start[None], between.to(keyframes)]
    return torch.cat(parts if loop else [*parts, ends[-1:]])


def hold(start: Tensor, end: Tensor) -> Tensor:
    """Frames (3 c h w) across a cut: the keyframe (c h w) that is nearer in time, the first one half way."""
    return torch.stack([start if weight <= 0.5 else end for weight in WEIGHTS])


def difference(start: Tensor, end: Tensor) -> float:
    """How unlike two frames (c h w) are: 0 for the same, about 1 for unrelated ones, at most 1.41 for opposite ones."""
    centre = (start.mean(dim=(1, 2), keepdim=True) + end.mean(dim=(1, 2), keepdim=True)) / 2
    energy = (start - centre).square().sum() + (end - centre).square().sum()
    return float(((start - end).square().sum() / energy.clamp(min=1e-12)).sqrt())


def lerp(start: Tensor, end: Tensor, weights: Tensor) -> Tensor:
    """Straight line (k ...) from `start` to `end` (...), weights (k,) of the end."""
    weights = weights.to(start).reshape(-1, *[1] * start.ndim)
    return start + weights * (end - start)


def slerp(start: Tensor, end: Tensor, weights: Tensor) -> Tensor:
    """Spherical line (k ... e) from `start` to `end` (... e): directions turn evenly, lengths change evenly.

    Directions that are equal or opposite have no one arc between them; there it is the straight line.
    """
    lengths = [x.norm(dim=-1, keepdim=True).clamp(min=1e-12) for x in (start, end)]
    units = [x / length for x, length in zip((start, end), lengths, strict=True)]
    angle = (units[0] * units[1]).sum(-1, keepdim=True).clamp(-1, 1).acos()
    weights = weights.to(start).reshape(-1, *[1] * start.ndim)
    arc = torch.sin((1 - weights) * angle) * units[0] + torch.sin(weights * angle) * units[1]
    arc = arc / angle.sin().clamp(min=PARALLEL) * lerp(*lengths, weights.flatten())
    straight = (angle < PARALLEL) | (angle > torch.pi - PARALLEL)
    return torch.where(straight, lerp(start, end, weights.flatten()), arc)


def slerp_frames(start: Tensor, end: Tensor) -> Tensor:
    """Frames (3 c h w) on the spherical line between two (c h w), each taken as one long vector."""
    return slerp(start.flatten(), end.flatten(), WEIGHTS).reshape(-1, *start.shape)
