"""A number for every frame and place of a clip, brought to the size and layout of a layer.

Shapes: b clips, f frames, (b f) frames fastest, h w size of the given numbers or of a layer, n places of a
layer, s = (b n) sequences, c channels.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional


def at_layer(values: float | Tensor, hidden: Tensor) -> float | Tensor:
    """Numbers ((b f) h w) as factors of hidden ((b f) c h w), ((b f) n c) or ((b f) c).

    A single number stays one.
    """
    if not isinstance(values, Tensor):
        return values
    if hidden.ndim == 4:
        return resized(values, *hidden.shape[2:])[:, None].to(hidden)
    if hidden.ndim == 3:
        return rearrange(at_places(values, hidden.shape[1]), "f n -> f n 1").to(hidden)
    return values.mean(dim=(1, 2))[:, None].to(hidden)


def over_frames(values: float | Tensor, frames: Tensor) -> float | Tensor:
    """Numbers ((b f) h w) as factors (s f 1) of frames side by side (s f c)."""
    if not isinstance(values, Tensor):
        return values
    sequences, count, _ = frames.shape
    clips = len(values) // count
    places = at_places(values, sequences // clips)
    return rearrange(places, "(b f) n -> (b n) f 1", f=count).to(frames)


def at_places(values: Tensor, places: int) -> Tensor:
    """Numbers ((b f) h w) at the places of a layer ((b f) n).

    Its sides are those of the latent, halved some times.
    """
    height, width = values.shape[1:]
    if height == width == 1:
        return values.reshape(-1, 1).expand(-1, places)
    while height * width > places:
        height, width = -(-height // 2), -(-width // 2)
    if height * width != places:  # a layer of another shape
        return functional.interpolate(rearrange(values, "f h w -> f 1 (h w)"), size=places, mode="linear")[
            :, 0
        ]
    return rearrange(resized(values, height, width), "f h w -> f (h w)")


def resized(values: Tensor, height: int, width: int) -> Tensor:
    """Numbers (f h w) in another size."""
    if values.shape[1:] == (height, width):
        return values
    return functional.interpolate(values[:, None].float(), size=(height, width), mode="bilinear")[:, 0]


def product(values: list[float | Tensor], height: int, width: int) -> float | Tensor:
    """Single numbers and numbers (f h w), multiplied.

    In the given size if any has places, else (f 1 1) or one number.
    """
    number, fields = 1.0, [value for value in values if isinstance(value, Tensor)]
    for value in values:
        number *= 1.0 if isinstance(value, Tensor) else value
    if not fields:
        return number
    placed = any(field.shape[1:] != (1, 1) for field in fields)
    size = (height, width) if placed else (1, 1)
    return torch.stack([resized(field, *size) for field in fields]).prod(dim=0) * number
