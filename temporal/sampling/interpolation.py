"""From keyframes to a clip four times as dense: pairs of neighbours, cuts between them, weighted means.

Shapes: f keyframes, k frames in between, c h w a latent, e features.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, pad

from ..errors import InvalidInputError

STRIDE = 4  # frames from one keyframe to the next: three in between (Video LDM, section 3.3)
WEIGHTS = torch.arange(1, STRIDE) / STRIDE
PARALLEL = 1e-3  # radians below which two directions are one
CELLS = 12  # of a side of a frame when two are compared
# distance of the likest cells, in deviations of the latents; in the toy world 99 % of motion stays below
ANOTHER_SCENE = 0.16

Fill = Callable[[int, Tensor, Tensor], Tensor]


def refine(keyframes: Tensor, fill: Fill, loop: bool = False, cut_threshold: float = torch.inf) -> Tensor:
    """Fill in between keyframes (f c h w), which stay as they are: clip ((f-1)*4+1 c h w).

    With `loop` (f*4 c h w), back to the first.

    `fill(number, start, end)` makes the frames (3 c h w) between keyframes `number` and `number + 1`. Across
    a cut nothing is blended: each side holds its own keyframe.

    Raises:
        InvalidInputError: fewer than two keyframes.
    """
    if len(keyframes) < 2:
        raise InvalidInputError(
            f"Interpolation needs at least 2 keyframes, but the clip has {len(keyframes)}. Make a longer "
            "clip, or continue this one with Extend Video."
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
    """Difference of two frames (c h w), wherever things lie in them.

    0 for the same, 1 where motion ends and another scene begins, always below 2.

    Each of 12 x 12 cells is compared with the cell of the other frame that is most like it, so that motion
    counts little.
    """
    both = torch.stack([start, end]).float()
    spread = (both - both.mean(dim=(0, 2, 3), keepdim=True)).square().mean().sqrt().clamp(min=1e-12)
    h, w = both.shape[2:]
    cells = rearrange(adaptive_avg_pool2d(both, (min(CELLS, h), min(CELLS, w))), "f c h w -> f (h w) c")
    apart = torch.cdist(cells[0], cells[1], compute_mode="donot_use_mm_for_euclid_dist")
    unlike = (apart.amin(dim=0).mean() + apart.amin(dim=1).mean()) / 2 / both.shape[1] ** 0.5 / spread
    return float(2 * unlike / (unlike + ANOTHER_SCENE))


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
    arc = arc / angle.sin().clamp(min=PARALLEL) * lerp(lengths[0], lengths[1], weights.flatten())
    straight = (angle < PARALLEL) | (angle > torch.pi - PARALLEL)
    return torch.where(straight, lerp(start, end, weights.flatten()), arc)


def slerp_frames(start: Tensor, end: Tensor) -> Tensor:
    """Frames (3 c h w) on the spherical line between two (c h w), each taken as one long vector."""
    return slerp(start.flatten(), end.flatten(), WEIGHTS).reshape(-1, *start.shape)


def with_still_places(frames: Tensor, start: Tensor, end: Tensor, limit: float) -> Tensor:
    """Frames (3 c h w) between two keyframes (c h w), whose still places look as in the keyframes.

    Sampled frames have other grain than their keyframes, which then are seen as jumps. A place is still where
    neither the keyframes nor frame and keyframes are farther apart than about `limit`, in deviations of the
    latents; there the frame is the blended keyframes, and the less still, the more of it stays. With 0 all of
    it does.
    """
    if limit <= 0:
        return frames
    blended = slerp_frames(start, end)
    apart = torch.maximum(_apart(frames, blended), _apart(start[None], end[None]))
    stillness = torch.exp(-((apart / limit / torch.stack([start, end]).std().clamp(min=1e-12)) ** 2))
    return torch.lerp(frames, blended, stillness)


def _apart(ours: Tensor, theirs: Tensor) -> Tensor:
    """Root mean square difference of frames (f c h w) at each place and its neighbours (f 1 h w)."""
    squares = (ours - theirs).square().mean(dim=1, keepdim=True)
    return avg_pool2d(pad(squares, (1, 1, 1, 1), mode="replicate"), 3, stride=1).sqrt()
