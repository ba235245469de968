"""Decoding a clip in windows that overlap, for decoders that look at all frames they get.

Shapes: f frames, c channels, h w size.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from torch import Tensor

from .streaming import LatentReader


def decode_windows(
    decode: Callable[[Tensor], Tensor], latents: LatentReader, length: int, overlap: int
) -> Iterator[Tensor]:
    """Frames in order, each once.

    Windows of `length` new latents and `overlap` neighbours on either side, cross-faded.

    Where windows stand depends on nothing but the two numbers. A single last frame joins the window before
    it.
    """
    before = held = None
    while len(core := _core(latents, length)):
        ahead = latents.peek(overlap)
        before = core[:0] if before is None else before
        frames = decode(torch.cat([before, core, ahead]))
        if held is not None:
            frames = cross_fade(held, frames)
        seen = torch.cat([before, core])
        before = seen[max(0, len(seen) - overlap) :]
        # frames that the next window decodes again, to be faded over; after the last window there are none
        keep = len(before) + len(ahead) if len(ahead) else 0
        ready, held = frames[: len(frames) - keep], frames[len(frames) - keep :].clone()
        if len(ready):
            yield ready


def longest_window(num_frames: int, length: int, overlap: int) -> int:
    """The most frames that `decode_windows` decodes together."""
    starts = range(0, max(1, num_frames - 1), length)  # a single last frame starts none
    cores = pairwise([*starts, num_frames])
    return max(min(num_frames, stop + overlap) - max(0, start - overlap) for start, stop in cores)


def cross_fade(first: Tensor, second: Tensor) -> Tensor:
    """Fade over from `first` (k ...) to `second` (f ...) in even steps.

    The beginning of `second` is the same moments as `first`.
    """
    shared = len(first)
    weight = torch.arange(1, shared + 1, dtype=second.dtype, device=second.device) / (shared + 1)
    weight = weight.view(-1, *(1,) * (second.ndim - 1))
    return torch.cat([torch.lerp(first, second[:shared], weight), second[shared:]])


def _core(latents: LatentReader, length: int) -> Tensor:
    """The new latents of the next window; never leaves a single frame behind."""
    return latents.take(length + 1 if len(latents.peek(length + 2)) == length + 1 else length)
