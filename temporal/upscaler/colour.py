"""Colour and brightness of the enlarged frames are those of the given ones.

Shapes: f frames of the clip, n of a piece, c channels, h w size of the given frames, H W size of the enlarged
ones.
"""

from collections.abc import Iterable, Iterator

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from .model import enlarge

HELD_SIGMA = 4.0  # given pixels


def hold_colours(residual: Tensor, scale: int) -> Tensor:
    """The residual (n c H W) without what a Gaussian of `HELD_SIGMA` given pixels lets through.

    What is added to the bicubic frames is detail: means over areas wider than some twelve given pixels stay
    theirs.
    """
    coarse = functional.avg_pool2d(residual, scale)
    soft = _blur(_blur(coarse).mT).mT
    return residual - functional.interpolate(
        soft, scale_factor=float(scale), mode="bilinear", align_corners=False
    )


def keep_colours(pieces: Iterable[Tensor], given: Tensor) -> Iterator[Tensor]:
    """Pieces (n H W 3) in 0..1 of an enlarged clip, with the colours of the given frames (f h w 3).

    Their detail stays.

    A frame needs nothing of the others, so how the clip is cut into pieces makes no difference.
    """
    done = 0
    for piece in pieces:
        shown = given[done : done + len(piece)].to(piece)
        done += len(piece)
        pairs = zip(piece.split(1), shown.split(1), strict=True)
        yield torch.cat([_with_colours(frame, image) for frame, image in pairs])


def _with_colours(frame: Tensor, image: Tensor) -> Tensor:
    """A frame (1 H W 3) whose coarse part is that of an image (1 h w 3), enlarged."""
    frame, image = (rearrange(x, "n h w c -> n c h w") for x in (frame, image))
    scale = frame.shape[2] // image.shape[2]
    base = enlarge(image, scale)
    held = base + hold_colours(frame - base, scale)
    return rearrange(held.clamp(0, 1), "n c h w -> n h w c")


def _blur(x: Tensor) -> Tensor:
    """Gaussian along the last axis; at an edge, the weights of what lies inside count."""
    radius = round(3 * HELD_SIGMA)
    offsets = torch.arange(-radius, radius + 1, device=x.device, dtype=x.dtype)
    kernel = torch.exp(-0.5 * (offsets / HELD_SIGMA) ** 2).reshape(1, 1, 1, -1)
    rows = x.reshape(-1, 1, 1, x.shape[-1])
    inside = functional.conv2d(torch.ones_like(rows[:1]), kernel, padding=(0, radius))
    return (functional.conv2d(rows, kernel, padding=(0, radius)) / inside).reshape(x.shape)
