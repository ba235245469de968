"""Temporal layers in a MODEL.

An additional model of its patcher plus wrappers, nothing in the host's module tree.

The stack lives in a ModelPatcher of its own, so that the host loads, counts and offloads its weights; hooks
put it into the UNet for the length of one APPLY_MODEL call and take it out again, whatever happens.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP
from einops import rearrange
from torch import Tensor

from ....temporal.errors import IncompatibleModelError, InvalidInputError
from ....temporal.formats import trained_frames
from ....temporal.layers.picture import PictureConfig
from ....temporal.sampling.affinity import MotionAmount
from ....temporal.sampling.clip import Clip
from ....temporal.sampling.known_channels import Condition, channels_of
from ....temporal.sampling.places import product
from ....temporal.sampling.schedules.amount import Change
from ....temporal.stack.stack import NEEDS_IMAGE, NEEDS_PICTURE, StackConfig, TemporalStack
from ..patcher import with_image_changes
from .hooks import inserted, norms_over_clip
from .per_frame import for_frames
from .shapes import base_name, unet_shape

KEY = "video_ldm"
CLIP_KEY = "video_ldm.clip"
MOTION_KEY = "video_ldm.image_motion"
TEXT_COND = "video_ldm_text"
KNOWN_COND = "video_ldm_known"  # per frame (f c+1 h w): mask * latent in the sampler's scale, and the mask
# per frame (f c+1 h w): latent of the image it is made from; how alike they are
IMAGE_COND = "video_ldm_image"
PICTURE_COND = "video_ldm_picture"  # what an image encoder says of every patch of a picture (1 p g)
# Peak activations of a UNet call with temporal layers over the same call without, counted at full size by
# benchmarks/activations.py as 1.00 to 1.04: the widest tensors are those of the feed-forwards, one at a time.
ACTIVATION_FACTOR = 1.1
NORMS = AS_TRAINED, OLD_NORMS, ALL_NORMS = ("as trained", "as AnimateDiff-Evolved", "over the clip")
OLD_NORM_FAMILIES = (
    "AnimateDiff v1",
    "AnimateDiff SDXL beta",
    "HotShot-XL",
    "PIA",
)  # whose frames that pack norms as one
LONGER_CLIPS = REFUSE, SQUEEZE, CONVOLVE = ("refuse", "squeeze", "convolve")


@dataclass(frozen=True)
class LayerSettings:
    """Settings with which one file of temporal layers is used.

    Strength (1 as trained), alpha overrides by section, part of the sampling.

    `longer_clips`: what becomes of clips with more frames than the layers were trained for, one of
    `LONGER_CLIPS`.
    """

    strength: float = 1.0
    alphas: Mapping[str, float] = field(default_factory=dict)
    start_percent: float = 0.0
    end_percent: float = 1.0
    longer_clips: str = REFUSE
    norms: str = AS_TRAINED
    changes: tuple[Change, ...] = ()

    def amounts(
        self, sigma: float, model_sampling: Any, frames: Sequence[int], size: tuple[int, int]
    ) -> tuple[float | Tensor, float | Tensor]:
        """Strength and motion of some frames of a clip at a noise level: numbers, or (f h w)."""
        now = [c for c in self.changes if holds_at(c, sigma, model_sampling)]
        strengths = [self.strength, *(change.strength.of(frames) for change in now)]
        return product(strengths, *size), product([change.motion.of(frames) for change in now], *size)

    def norms_over_clip(self, config: StackConfig) -> bool:
        """True if every norm of the image model and of the layers takes its statistics over the clip."""
        return self.norms == ALL_NORMS or (self.norms == OLD_NORMS and config.family in OLD_NORM_FAMILIES)

    def positions(self, num_frames: int, max_frames: int) -> Tensor | None:
        """Positions of the frames (f,); None: counted."""
        if self.longer_clips != SQUEEZE or not max_frames or num_frames <= max_frames:
            return None
        return torch.linspace(0, max_frames - 1, num_frames)

    def acts_at(self, sigma: float, model_sampling: Any) -> bool:
        """True if the layers take part at a noise level."""
        return acts_at(self.start_percent, self.end_percent, sigma, model_sampling)


def acts_at(start_percent: float, end_percent: float, sigma: float, model_sampling: Any) -> bool:
    """True if a noise level lies in a part of the sampling."""
    start = model_sampling.percent_to_sigma(start_percent)
    return model_sampling.percent_to_sigma(end_percent) <= sigma <= start


def holds_at(part: Any, sigma: float, model_sampling: Any) -> bool:
    """True if a noise level lies in a part of the sampling that ends where the next one begins."""
    over = part.end_percent < 1 and sigma <= model_sampling.percent_to_sigma(part.end_percent)
    return not over and acts_at(part.start_percent, part.end_percent, sigma, model_sampling)


@dataclass(frozen=True)
class ClipSettings:
    """Facts on the clip that a sampler makes: frames per second."""

    fps: float = 8.0


def add_temporal_layers(model: Any, stack_patcher: Any, settings: LayerSettings) -> Any:
    """Clone of a MODEL with one more stack of temporal layers.

    Raises IncompatibleModelError when the layers were made for another UNet or the MODEL is compiled.
    """
    check_base(model, stack_patcher.model.config)
    refuse_compiled(model)
    throughout = settings.start_percent <= 0 and settings.end_percent >= 1
    changes = stack_patcher.model.changed_image
    patched = with_image_changes(model, changes, settings.strength, throughout)
    patched.set_additional_models(KEY, [*patched.get_additional_models_with_key(KEY), stack_patcher.clone()])
    patched.set_attachments(KEY, (*(patched.get_attachment(KEY) or ()), settings))
    if not model.get_additional_models_with_key(KEY):
        patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, check_before_sampling)
        patched.add_wrapper_with_key(WrappersMP.PREPARE_SAMPLING, KEY, count_activations)
        patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, apply_temporal_layers)
        factor = patched.get_model_object("memory_usage_factor")
        patched.add_object_patch("memory_usage_factor", factor * ACTIVATION_FACTOR)
    return patched


def set_clip_settings(model: Any, settings: ClipSettings) -> Any:
    """Clone of a MODEL that makes clips with these settings."""
    patched = model.clone()
    patched.set_attachments(CLIP_KEY, settings)
    return patched


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


def refuse_compiled(model: Any) -> None:
    """Refuse a MODEL under torch.compile, which would keep the hooks of its first call for ever."""
    if model.get_wrappers(WrappersMP.APPLY_MODEL, "torch.compile"):
        raise IncompatibleModelError(
            "The MODEL is compiled (TorchCompileModel) and temporal layers enter the image model while it "
            "runs, which "
            "compiled code does not see. Remove or bypass the compile node."
        )


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
    refuse_compiled(model)
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
            "sampler, with "
            "pattern every N."
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
            f"shorter, add Video Windows "
            "to the model, or set longer_clips of Load Temporal Layers to squeeze or convolve."
        )
    return InvalidInputError(
        f"The windows have {window} frames; these temporal layers were made for at most {longest}. Set "
        f"context_length to 0, which is as "
        f"trained where Video Windows comes after Load Temporal Layers, or to {longest} or less."
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
        for stack, settings in stacks_of(model):
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
