"""Camera moves over pictures: clips whose motion is known, for LoRAs that teach one.

Stable Video Diffusion (appendix on camera motion) trains such LoRAs on filmed moves; a move over a photo
needs no film. Shapes: picture (h w 3), frames (f h w 3), both in 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from ...errors import InvalidInputError

MOST_ENLARGED = 2.0  # times, in one direction: more is a blur
FINER = 2  # frames are made so many times as large and averaged, so that no place of a pixel is blurred more


@dataclass(frozen=True)
class Move:
    """A move of the camera, and words for it.

    `pan`: widths and heights of the frame that it goes right and down. `zoom`: how many times as large the
    middle of the picture becomes. `roll`: degrees that the picture turns clockwise.
    """

    words: str
    pan: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    roll: float = 0.0


MOVES: Mapping[str, Move] = {
    "static": Move("static camera"),
    "pan_left": Move("camera pans left", pan=(-0.3, 0.0)),
    "pan_right": Move("camera pans right", pan=(0.3, 0.0)),
    "tilt_up": Move("camera tilts up", pan=(0.0, -0.3)),
    "tilt_down": Move("camera tilts down", pan=(0.0, 0.3)),
    "zoom_in": Move("camera zooms in", zoom=1.4),
    "zoom_out": Move("camera zooms out", zoom=1 / 1.4),
    "roll_left": Move("camera rolls left", roll=20.0),
    "roll_right": Move("camera rolls right", roll=-20.0),
}


def camera_clip(picture: Tensor, move: Move, num_frames: int, size: tuple[int, int]) -> Tensor:
    """A clip (f h w 3) of `size` (width, height) in which a camera makes a move over a picture.

    The speed is even: of a pan in pixels a frame, of a zoom in the factor a frame. Raises InvalidInputError
    for a picture that is too small.
    """
    (width, height), (rows, columns) = size, picture.shape[:2]
    side = _window_width(move, columns, rows, width / height)
    smallest = side / max(move.zoom, 1 / move.zoom)
    if smallest < width / MOST_ENLARGED:
        raise InvalidInputError(
            f"A picture of {columns} x {rows} pixels is too small for this move at {width} x {height}; give "
            f"larger pictures, at least {math.ceil(columns * width / MOST_ENLARGED / smallest)} pixels wide."
        )
    fine = (FINER * width, FINER * height)
    image = rearrange(picture.float(), "h w c -> 1 c h w")
    if smallest > fine[0]:  # what one place of a frame covers is averaged first, or it would flicker
        smaller = [round(length * fine[0] / smallest) for length in image.shape[-2:]]
        image = functional.interpolate(image, smaller, mode="bicubic", antialias=True)
        side = side * image.shape[-1] / columns
    frames = []
    for progress in _progress(num_frames):
        places = _places(move, progress, side, (image.shape[-2], image.shape[-1]), fine)[None]
        # bilinear: PyTorch's bicubic moves what it samples by up to a twentieth of a pixel
        seen = functional.grid_sample(image, places, "bilinear", "border", align_corners=False)
        frames.append(functional.avg_pool2d(seen, FINER))
    return rearrange(torch.cat(frames), "f c h w -> f h w c").clamp(0, 1)


def _progress(num_frames: int) -> list[float]:
    """Share of the move that is done at each frame."""
    return [frame / max(1, num_frames - 1) for frame in range(num_frames)]


def _window_width(move: Move, columns: int, rows: int, aspect: float) -> float:
    """Width of the largest window onto a picture that stays inside it during the whole move."""
    angle = math.radians(abs(move.roll) / 2)
    cos, sin = math.cos(angle), math.sin(angle)
    across, along = 1 + abs(move.pan[0]), 1 / aspect * (1 + abs(move.pan[1]))
    return min(columns / (across * cos + along * sin), rows / (across * sin + along * cos))


def _places(
    move: Move, progress: float, side: float, picture: tuple[int, int], size: tuple[int, int]
) -> Tensor:
    """Places in the picture (h w 2), in -1..1, that a frame shows when so much of the move is done."""
    (width, height), (rows, columns) = size, picture
    zoom = move.zoom**-progress if move.zoom >= 1 else move.zoom ** (1 - progress)
    angle = math.radians(move.roll * (progress - 0.5))
    step = side * zoom / width  # pixels of the picture from one place of the frame to the next
    x = (torch.arange(width) - (width - 1) / 2) * step
    y = (torch.arange(height) - (height - 1) / 2) * step
    y, x = torch.meshgrid(y, x, indexing="ij")
    right = move.pan[0] * (progress - 0.5) * side
    down = move.pan[1] * (progress - 0.5) * side * height / width
    across = x * math.cos(angle) - y * math.sin(angle) + right
    along = x * math.sin(angle) + y * math.cos(angle) + down
    return torch.stack([2 * across / columns, 2 * along / rows], dim=-1)
