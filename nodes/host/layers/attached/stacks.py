"""Facts on the temporal layers inside a MODEL, and the motion of the image that they animate."""

from __future__ import annotations

from typing import Any

from .....temporal.errors import IncompatibleModelError
from .....temporal.formats import trained_frames
from .....temporal.sampling.affinity import MotionAmount
from .....temporal.sampling.known_channels import Condition
from .....temporal.stack.stack import TemporalStack
from .settings import KEY, LayerSettings

MOTION_KEY = "video_ldm.image_motion"


def stacks_of(model: Any) -> list[tuple[TemporalStack, LayerSettings]]:
    """The stacks inside a MODEL with their settings, in the order they were added."""
    patchers = model.get_additional_models_with_key(KEY)
    return [
        (patcher.model, settings)
        for patcher, settings in zip(patchers, model.get_attachment(KEY) or (), strict=True)
    ]


def makes_video(model: Any) -> bool:
    """True if a MODEL sees more than one frame, by temporal layers or as the host's own video model."""
    config = model.model.model_config.unet_config
    own = config.get("use_temporal_resblock") or config.get("use_temporal_attention")
    return bool(own or model.get_additional_models_with_key(KEY))


def trained_length(model: Any) -> int | None:
    """Fewest frames that a stack of a MODEL was trained on together; None: no stack says."""
    return min(filter(None, (trained_frames(stack) for stack, _ in stacks_of(model))), default=None)


def condition_of(model: Any) -> Condition | None:
    """Way in which known frames enter an image model beside the noisy latent; None: they do not."""
    config = model.model.model_config.unet_config
    if config["in_channels"] == config["out_channels"]:  # layers of such a model that were put on another one
        return None
    for stack, _ in stacks_of(model):
        if stack.config.condition is not None:
            return stack.config.condition
    return None


def layers_know_frames(model: Any) -> bool:
    """True if a MODEL, or its temporal layers alone, was trained on known frames."""
    return condition_of(model) is not None or any(stack.config.known_frames for stack, _ in stacks_of(model))


def animates_image(model: Any) -> bool:
    """True if a MODEL has motion modules that animate a given image."""
    return any(stack.config.image for stack, _ in stacks_of(model))


def reads_affinities(model: Any) -> bool:
    """True if a MODEL has motion modules that are told how alike each frame is to the image."""
    return any(stack.config.image == "affinity" for stack, _ in stacks_of(model))


def set_image_motion(model: Any, motion: MotionAmount) -> Any:
    """Clone of a MODEL that moves a given image so far.

    Raises IncompatibleModelError when it animates none.
    """
    if not animates_image(model):
        raise IncompatibleModelError(
            "The MODEL has no layers that animate an image. Put Load Temporal Layers with PIA or "
            "AnimateLCM-I2V before this node, or leave it out."
        )
    patched = model.clone()
    patched.set_attachments(MOTION_KEY, motion)
    return patched


def image_motion(model: Any) -> MotionAmount:
    """Amount of motion that a MODEL gives to the image that it animates."""
    return model.get_attachment(MOTION_KEY) or MotionAmount()
