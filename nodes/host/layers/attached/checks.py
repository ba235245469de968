"""Refusal of MODELs and clips that temporal layers cannot work with, before anything is loaded."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .....temporal.errors import IncompatibleModelError, InvalidInputError
from .....temporal.layers.picture import PictureConfig
from .....temporal.stack.stack import NEEDS_IMAGE, NEEDS_PICTURE, StackConfig
from ..per_frame import IMAGE_COND, KNOWN_COND, PICTURE_COND, for_frames
from ..shapes import base_name, unet_shape
from .settings import KEY, REFUSE
from .stacks import condition_of, stacks_of


def check_base(model: Any, config: StackConfig) -> None:
    """Refuse temporal layers that were made for another UNet than the MODEL's."""
    shape = unet_shape(model)
    if shape != config.unet:
        raise IncompatibleModelError(
            f"These temporal layers were made for {config.base} ({_describe(config.unet)}), the image model "
            f"is {base_name(shape)} ({_describe(shape)}). Load a {config.base} checkpoint, or temporal "
            f"layers made for {base_name(shape)}."
        )


def _describe(shape: Any) -> str:
    return f"{shape.model_channels} channels x {shape.channel_mult}, text width {shape.context_dim}"


def refuse_two_devices(model: Any) -> None:
    """Refuse layers that a newer host loads as they are needed, on another device than the image model's."""
    for patcher in model.get_additional_models_with_key(KEY):
        if getattr(patcher, "is_dynamic", bool)() and patcher.load_device != model.load_device:
            raise IncompatibleModelError(
                f"The image model computes on {model.load_device}, its temporal layers on "
                f"{patcher.load_device}. Put Select Model Device before the loader of the layers, not after "
                "it."
            )


def check_before_sampling(executor: Any, noise: Tensor, *args: Any, **kwargs: Any) -> Any:
    """OUTER_SAMPLE wrapper: refuse what cannot work before anything is loaded."""
    model = executor.class_obj.model_patcher
    refuse_two_devices(model)
    executor.class_obj.conds = for_frames(executor.class_obj.conds, len(noise))
    channels = model.get_model_object("latent_format").latent_channels
    if noise.ndim != 4 or noise.shape[1] != channels:
        raise InvalidInputError(
            f"The latent has shape {tuple(noise.shape)}; the image model needs (frames, {channels}, height, "
            "width). Use Empty Latent Image, or encode with this checkpoint's VAE."
        )
    check_image(model, executor.class_obj.conds)
    window = getattr(model.model_options.get("context_handler"), "context_length", None)
    frames = noise.shape[0] if window is None else min(noise.shape[0], window)
    conds = itertools.chain.from_iterable(executor.class_obj.conds.values())
    if condition_of(model) == "nearest" and not all(KNOWN_COND in cond["model_conds"] for cond in conds):
        raise InvalidInputError(
            "This model fills in between given frames, but none were given. Put Known Frames before the "
            "sampler, with pattern every N."
        )
    for stack, settings in stacks_of(model):
        if 0 < stack.config.max_frames < frames and settings.longer_clips == REFUSE:
            raise _too_long(len(noise), window, stack.config.max_frames)
    return executor(noise, *args, **kwargs)


def _too_long(frames: int, window: int | None, longest: int) -> InvalidInputError:
    """Complaint about a clip or its windows that is too long for layers of `longest` frames; empty: none."""
    if window is None:
        return InvalidInputError(
            f"The clip has {frames} frames; these temporal layers were made for at most {longest}. Make it "
            "shorter, add Video Windows to the model, or set longer_clips of Load Temporal Layers to squeeze "
            "or convolve."
        )
    return InvalidInputError(
        f"The windows have {window} frames; these temporal layers were made for at most {longest}. Set "
        "context_length to 0, which is as trained where Video Windows comes after Load Temporal Layers, or "
        f"to {longest} or less."
    )


def check_image(model: Any, conds: Mapping[str, Any]) -> None:
    """Refuse layers that animate an image, or see a picture, where the guider's conditions have none."""
    given = any(IMAGE_COND in cond.get("model_conds", {}) for group in conds.values() for cond in group or ())
    for stack, _ in stacks_of(model):
        if stack.config.image and not given:
            raise IncompatibleModelError(NEEDS_IMAGE.format(family=stack.config.family))
        if stack.config.picture is not None:
            given_conds = [cond.get("model_conds", {}) for group in conds.values() for cond in group or ()]
            _check_picture(stack.config.family, stack.config.picture, given_conds)


def _check_picture(family: str, picture: PictureConfig, conds: list[Mapping[str, Any]]) -> None:
    """Refuse conditions of which one lacks the picture, or has it from an image encoder of another size."""
    if not all(PICTURE_COND in cond for cond in conds):
        raise IncompatibleModelError(NEEDS_PICTURE.format(family=family))
    expected = picture.features
    given = next((size for cond in conds if (size := cond[PICTURE_COND].cond.shape[-1]) != expected), None)
    if given is not None:
        raise IncompatibleModelError(
            f"The image encoder of Image Prompt gives {given} numbers for a patch, but {family} reads "
            f"{expected}. Load CLIP ViT-H/14 (laion2B) with Load CLIP Vision."
        )
