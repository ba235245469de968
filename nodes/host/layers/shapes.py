"""Facts of the host on an image model, in the pack's own words."""

from __future__ import annotations

from typing import Any

from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

from ....temporal.errors import IncompatibleModelError
from ....temporal.stack.plan import X4, UNetShape

BASE_BY_CONTEXT = {768: "SD 1.x", 1024: "SD 2.x", 2048: "SDXL"}


def unet_shape(model: Any) -> UNetShape:
    """Sizes of a MODEL's UNet.

    Raises IncompatibleModelError for an image model that is not a Stable Diffusion UNet (DiT, Flux...).
    """
    diffusion_model = model.get_model_object("diffusion_model")
    config = model.model.model_config.unet_config
    if not isinstance(diffusion_model, UNetModel) or "channel_mult" not in config:
        raise IncompatibleModelError(
            f"The image model is a {type(model.model).__name__} with a {type(diffusion_model).__name__}; "
            "temporal layers need a Stable Diffusion UNet: load an SD 1.x, SD 2.x or SDXL checkpoint."
        )
    return UNetShape.from_config(config)


def base_name(shape: UNetShape) -> str:
    """The family of image models with these sizes, as artists call it."""
    if (shape.context_dim, shape.model_channels) == (X4.context_dim, X4.model_channels):
        return "SD x4 upscaler"
    return BASE_BY_CONTEXT.get(shape.context_dim, f"a model with text width {shape.context_dim}")
