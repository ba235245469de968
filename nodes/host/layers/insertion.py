"""Temporal layers in a MODEL.

An additional model of its patcher plus wrappers, nothing in the host's module tree.

The stack lives in a ModelPatcher of its own, so that the host loads, counts and offloads its weights; hooks
put it into the UNet for the length of one APPLY_MODEL call and take it out again, whatever happens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP
from einops import rearrange
from torch import Tensor

from ....temporal.formats import trained_frames
from ....temporal.sampling.clip import Clip
from ....temporal.sampling.known_channels import channels_of
from ..patcher import with_image_changes
from .attached.checks import check_base, check_before_sampling
from .attached.settings import CLIP_KEY, CONVOLVE, KEY, ClipSettings, LayerSettings
from .attached.stacks import condition_of, image_motion, stacks_of
from .compiled import compile_between_layers
from .hooks import inserted, norms_over_clip
from .motion_lora import motion_loras_of
from .per_frame import IMAGE_COND, KNOWN_COND, PICTURE_COND, TEXT_COND

# Peak activations of a UNet call with temporal layers over the same call without, counted at full size by
# benchmarks/cost/activations.py as 1.00 to 1.04: the widest tensors are those of the feed-forwards, one at a
# time.
ACTIVATION_FACTOR = 1.1


def add_temporal_layers(model: Any, stack_patcher: Any, settings: LayerSettings) -> Any:
    """Clone of a MODEL with one more stack of temporal layers.

    Raises IncompatibleModelError when the layers were made for another UNet.
    """
    check_base(model, stack_patcher.model.config)
    throughout = settings.start_percent <= 0 and settings.end_percent >= 1
    changes = stack_patcher.model.changed_image
    patched = with_image_changes(model, changes, settings.strength, throughout)
    patched.set_additional_models(KEY, [*patched.get_additional_models_with_key(KEY), stack_patcher.clone()])
    patched.set_attachments(KEY, (*(patched.get_attachment(KEY) or ()), settings))
    if not model.get_additional_models_with_key(KEY):
        patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, check_before_sampling)
        patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, compile_between_layers)
        patched.add_wrapper_with_key(WrappersMP.PREPARE_SAMPLING, KEY, count_activations)
        patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, apply_temporal_layers)
        factor = patched.get_model_object("memory_usage_factor")
        patched.add_object_patch("memory_usage_factor", factor * ACTIVATION_FACTOR)
    return patched


def count_activations(
    executor: Any, model: Any, noise_shape: Any, conds: Any, *args: Any, **kwargs: Any
) -> Any:
    """Count our part in the host's first estimate of memory, as a PREPARE_SAMPLING wrapper.

    The estimate is made before our factor is patched in.
    """
    wanted = model.get_model_object("memory_usage_factor") / model.model.memory_usage_factor
    scaled = [round(noise_shape[0] * wanted), *noise_shape[1:]]
    return executor(model, scaled, conds, *args, **kwargs)


def apply_temporal_layers(executor: Any, x: Tensor, t: Tensor, *args: Any, **kwargs: Any) -> Any:
    """APPLY_MODEL wrapper: one call of the UNet with every stack of the MODEL inside.

    x ((b f) c h w): b chunks (uncond, cond...) of one clip each, frames fastest.
    """
    base_model = executor.class_obj
    model = base_model.current_patcher
    dtype = base_model.manual_cast_dtype or base_model.get_dtype()
    text, known, image, picture = (
        kwargs.pop(key, None) for key in (TEXT_COND, KNOWN_COND, IMAGE_COND, PICTURE_COND)
    )
    options = kwargs.get("transformer_options", args[3] if len(args) > 3 else {})
    context = kwargs.get("c_crossattn", args[1] if len(args) > 1 else None)
    num_frames = x.shape[0] // len(options.get("cond_or_uncond", [0]))
    like = torch.empty(0, dtype=dtype, device=x.device)
    condition = condition_of(model)
    if condition is not None:  # in the place of what the host found
        args = (channels_of(condition, known, x), *args[1:])
    base_clip = Clip(
        num_frames=num_frames,
        fps=(model.get_attachment(CLIP_KEY) or ClipSettings()).fps,
        text=None if text is None else text[::num_frames].to(like),
        texts_differ=text is None and _texts_differ(context, num_frames),
        image=None if image is None else image.to(like),
        picture=None if picture is None else picture[::num_frames].to(like),
        frame_weight=image_motion(model).frame_weight,
    )
    with ExitStack() as hooks:
        for index, (stack, settings) in enumerate(stacks_of(model)):
            if not settings.acts_at(t.max().item(), base_model.model_sampling):
                continue
            strength, motion = (
                amount.repeat(len(x) // num_frames, 1, 1).to(x.device)
                if isinstance(amount, Tensor)
                else amount
                for amount in settings.amounts(
                    t.max().item(),
                    base_model.model_sampling,
                    frames_of_call(options, num_frames),
                    (x.shape[-2], x.shape[-1]),
                )
            )
            if settings.norms_over_clip(stack.config):
                hooks.enter_context(norms_over_clip(base_model.diffusion_model, stack, num_frames))
            clip = replace(
                base_clip,
                strength=strength,
                key_scale=motion,
                alphas=settings.alphas,
                positions=settings.positions(num_frames, stack.config.max_frames),
                window=(trained_frames(stack) or None) if settings.longer_clips == CONVOLVE else None,
            )
            if known is not None and stack.config.known_frames:
                latents = known.to(like)
                clip = replace(clip, known_latents=latents[:, :-1], known_mask=latents[:, -1, 0, 0])
            for lora in motion_loras_of(model, index):
                hooks.enter_context(lora.beside(stack))
            hooks.enter_context(inserted(base_model.diffusion_model, stack, stack.prepare(clip, like)))
        return executor(x, t, *args, **kwargs)


def frames_of_call(options: Mapping[str, Any], num_frames: int) -> Sequence[int]:
    """Frames of a clip that a call of the UNet sees: those of the window, if there is one."""
    window = getattr(options.get("context_window"), "index_list", None)
    return window if window is not None and len(window) == num_frames else range(num_frames)


def _texts_differ(context: Tensor | None, num_frames: int) -> bool:
    """True if the text ((b f) m e) changes inside a clip: asked once per call, so that layers need not."""
    if context is None:
        return False
    clips = rearrange(context, "(b f) m e -> b f m e", f=num_frames)
    return not torch.equal(clips, clips[:, :1].expand_as(clips))
