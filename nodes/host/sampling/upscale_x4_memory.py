"""Memory that a step of the SD x4 upscaler takes, and the report that says so before it starts."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ....temporal.errors import InvalidInputError
from ..memory import GIB, total_memory

LIVE_TENSORS = 20  # peak number of feature maps of the first level in memory (measured: 16, plus reserve)
NO_LAYERS = (
    "This model has no temporal layers, so all frames share one noise, which keeps still things still but "
    "not moving ones. Put Load Temporal Layers with layers for the x4 upscaler before it."
)


def tile_shape(shape: Any, tile: int) -> list[int]:
    """Shape of the latents in the largest tile of latents of a shape."""
    return [*shape[:-2], *(min(side, tile or side) for side in shape[-2:])]


def step_memory(model: Any, shape: Any) -> float:
    """Bytes that a step takes for latents of a shape (n 4 h w), beside the weights.

    The host's own number is for models that attend at full resolution, which the x4 upscaler does not.
    """
    frames, _, h, w = shape
    dtype = model.model.manual_cast_dtype or model.model.get_dtype()
    return LIVE_TENSORS * model.model.diffusion_model.model_channels * frames * h * w * dtype.itemsize


def checked_report(model: Any, images: Tensor, window: int, tile: int, temporal: bool) -> str:
    """Report on a clip that is enlarged, and what a step needs.

    Raises InvalidInputError when the device could never hold it.
    """
    f, h, w = images.shape[:3]
    needed = step_memory(model, tile_shape([2 * window, 4, h, w], tile)) / GIB
    total = total_memory(model.load_device) / GIB
    report = (
        f"{f} frames of {w} x {h} become {4 * w} x {4 * h}: about {needed:.2f} GB for a step with prompt "
        f"and negative prompt together, and {f * h * w * 192 / GIB:.2f} GB for the decoded frames."
    )
    if needed / 2 > total:  # the host can compute them one after the other
        raise InvalidInputError(
            f"{report} The device has {total:.2f} GB. Set a smaller tile_size or a shorter context_length."
        )
    return report if temporal else f"{report} {NO_LAYERS}"
