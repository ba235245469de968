"""Frames as the numbers a file holds.

Shapes: frames (n h w 3) float 0..1, display-referred (sRGB), as the host's IMAGE; a fourth number says how
opaque a pixel is.
"""

from __future__ import annotations

import numpy as np
import torch
from einops import pack, repeat
from torch import Tensor

from ..errors import InvalidInputError
from ..finite import is_finite


def whole_numbers(frames: Tensor, depth: int) -> np.ndarray:
    """Frames as uint8 or uint16 (n h w 3), rounded to nearest and clipped, row after row in memory."""
    top = 2**depth - 1
    scaled = torch.empty(frames.shape)  # decoders lay out channel after channel: turned before they shrink
    torch.mul(frames, top, out=scaled)
    scaled.round_().clamp_(0, top)
    return scaled.to(torch.uint8).numpy() if depth == 8 else scaled.numpy().astype(np.uint16)


def padded(frames: Tensor, grid: tuple[int, int]) -> Tensor:
    """Frames whose width and height are multiples of `grid`.

    The last column and row are repeated, nothing is cut.
    """
    (columns, rows), (height, width) = grid, frames.shape[1:3]
    if missing := -height % rows:
        edge = repeat(frames[:, -1], "n w c -> n r w c", r=missing)
        frames, _ = pack([frames, edge], "n * w c")
    if missing := -width % columns:
        edge = repeat(frames[:, :, -1], "n h c -> n h k c", k=missing)
        frames, _ = pack([frames, edge], "n h * c")
    return frames


def linear_light(frames: Tensor) -> np.ndarray:
    """Frames as scene-linear half floats (n h w 3): the sRGB curve undone (IEC 61966-2-1).

    Of transparent ones (n h w 4) the colours are multiplied by the fourth number, as EXR wants them.
    """
    if frames.shape[-1] == 4:
        colours, clear = frames.float().cpu().split((3, 1), dim=-1)
        clear = clear.clamp(0, 1)
        return torch.cat([torch.from_numpy(linear_light(colours)) * clear, clear], dim=-1).half().numpy()
    frames = frames.float().cpu()
    curve = ((frames + 0.055) / 1.055).clamp(min=0) ** 2.4
    return torch.where(frames <= 0.04045, frames / 12.92, curve).half().numpy()


def check_frames(frames: Tensor, size: tuple[int, int, int] | None, first: int) -> None:
    """Refuse a chunk of frames that do not go into one film.

    `first` is the number of its first one, `size` that of those before: width, height, and 4 for
    transparent ones, else 3.

    Raises InvalidInputError for another shape or size, and for values that are not numbers.
    """
    if frames.ndim != 4 or frames.shape[-1] not in (3, 4):
        raise InvalidInputError(
            f"Frames must have the shape (frames, height, width, 3), but these have {tuple(frames.shape)}."
        )
    if size is not None and frames.shape[-1] != size[2]:
        kinds = {3: "no transparency", 4: "transparency"}
        raise InvalidInputError(
            f"Frame {first} has {kinds[frames.shape[-1]]}, but the film began with {kinds[size[2]]}. Give "
            "frames of one kind."
        )
    given = (frames.shape[2], frames.shape[1])
    if size is not None and given != size[:2]:
        raise InvalidInputError(
            f"Frame {first} is {given[0]} x {given[1]}, but the film began with {size[0]} x {size[1]}. "
            "Give frames of one size."
        )
    if not is_finite(frames):
        _refuse_broken(frames, first)


def _refuse_broken(frames: Tensor, first: int) -> None:
    number = first + [is_finite(frame) for frame in frames].index(False)
    raise InvalidInputError(
        f"Frame {number} holds values that are not numbers (NaN or infinite), so nothing was written. "
        "Start ComfyUI with --fp32-vae if the VAE runs in half precision, or lower cfg."
    )
