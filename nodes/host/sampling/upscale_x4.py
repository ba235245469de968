"""The host's SD x4 upscaler on clips: one noise augmentation for the clip, windows in time, tiles in space.

The host adds the noise of the augmentation by itself, once per call of a sampler. Here it is added
beforehand, frame by frame from the seed and the frame's number, and the model is only told its level.

Shapes: f frames, b chunks (uncond, cond), h w size of the given frames, which is that of the latents.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import comfy.conds
import comfy.model_base
import comfy.model_management as mm
import torch
from comfy.patcher_extension import WrappersMP
from einops import rearrange
from torch import Tensor

from ....temporal.errors import IncompatibleModelError, InvalidInputError
from ....temporal.upscaler.blend import Box, blended, places
from ....temporal.upscaler.noise import frame_noise
from ..layers.attached.stacks import stacks_of
from ..layers.per_frame import with_model_conds
from ..progress import say
from .clip import SamplerSettings, sample_clip
from .upscale_x4_memory import checked_report, tile_shape
from .windows import add_windows

logger = logging.getLogger(__name__)
KEY = "video_ldm.upscale_x4"
LEVEL_COND = "video_ldm_noise_level"
AUGMENTATION = 2  # stream of noise
DEFAULT_WINDOW = 8  # frames, as in Video LDM


@dataclass(frozen=True)
class X4Settings:
    """An artist's settings beside the sampler.

    Noise 0..1, window and overlap in frames, tiles in given pixels.
    """

    noise_augmentation: float
    window: int
    overlap: int
    tile: int
    tile_overlap: int


def upscale_latents(
    model: Any, positive: list, negative: list, images: Tensor, sampler: SamplerSettings, settings: X4Settings
) -> tuple[dict, str]:
    """LATENT of the enlarged clip (f 4 h w) for images (f h w 3), and a report.

    Raises IncompatibleModelError for another MODEL, InvalidInputError for images and sizes that it cannot
    take.
    """
    check_model(model)
    check_images(images)
    stacks = stacks_of(model)
    frames, h, w = images.shape[:3]
    limits = [stack.config.max_frames for stack, _ in stacks if stack.config.max_frames]  # 0: any length
    window = settings.window or min(limits or [DEFAULT_WINDOW])
    report = checked_report(model, images, min(window, frames), settings.tile, temporal=bool(stacks))
    logger.info("%s", report)
    say(report)
    noise = "independent" if stacks else "mixed"  # mixed wholly: the same for all frames
    seen = augmented(model, images, settings.noise_augmentation, sampler.seed, shared=not stacks)
    level = noise_level(model, settings.noise_augmentation)
    positive, negative = (with_given(conds, seen, level) for conds in (positive, negative))
    patched = with_tiles(model, settings.tile, settings.tile_overlap)
    if frames > window and "context_handler" not in patched.model_options:
        patched = add_windows(
            patched,
            window,
            settings.overlap,
            "standard_static",
            "pyramid",
            closed_loop=False,
            repeated_noise=False,
        )
    sampler = SamplerSettings(**{**vars(sampler), "noise_type": noise, "noise_correlation": 1.0})
    latent = {"samples": torch.zeros(frames, 4, h, w)}
    return sample_clip(patched, positive, negative, latent, sampler, None), report


def check_model(model: Any) -> None:
    """Refuse a MODEL that is not the x4 upscaler."""
    if not isinstance(model.model, comfy.model_base.SD_X4Upscaler):
        raise IncompatibleModelError(
            f"The model is a {type(model.model).__name__}, but Video Upscale (SD x4) needs Stable "
            "Diffusion's x4 upscaler: load x4-upscaler-ema.safetensors with Load Checkpoint. For upscalers "
            "of this pack use Video Upscale."
        )


def check_images(images: Tensor) -> None:
    """Refuse what is not a clip of RGB frames."""
    if images.ndim != 4 or images.shape[-1] != 3 or not len(images):
        raise InvalidInputError(
            f"The frames have shape {tuple(images.shape)}; the upscaler takes RGB frames (frames, height, "
            "width, 3). Remove an alpha channel, or connect decoded images."
        )


def noise_level(model: Any, amount: float) -> int:
    """Step of the schedule, 0 .. 350, for an amount 0..1; as in the host's own node."""
    return round(model.model.noise_augmentor.max_noise_level * amount)


def augmented(model: Any, images: Tensor, amount: float, seed: int, shared: bool) -> Tensor:
    """Images as the model sees them (f 3 h w), in -1..1 with noise; `shared`: the same for all frames.

    `images`: (f h w 3).
    """
    pixels = rearrange(images, "f h w c -> f c h w").float() * 2 - 1
    level = noise_level(model, amount)
    if level == 0:
        return pixels
    shape = tuple(pixels.shape[1:])
    noise = [frame_noise(shape, seed, AUGMENTATION, 0 if shared else n) for n in range(len(pixels))]
    step = torch.tensor([level], device=pixels.device)
    return model.model.noise_augmentor.q_sample(pixels, step, torch.stack(noise).to(pixels))


def with_given(conditioning: list, seen: Tensor, level: int) -> list:
    """CONDITIONING with the frames that the model sees and the level of their noise.

    The input stays as it was.
    """
    cond = comfy.conds.CONDRegular(torch.tensor([level]))
    # the noise is in the frames already
    return with_model_conds(conditioning, {LEVEL_COND: cond}, concat_image=seen, noise_augmentation=0.0)


def with_tiles(model: Any, tile: int, overlap: int) -> Any:
    """Clone of a MODEL that computes large frames in tiles, blended at every step.

    It is told our noise level.
    """

    def apply_model(
        executor: Any, x: Tensor, t: Tensor, c_concat: Tensor, *args: Any, **kwargs: Any
    ) -> Tensor:
        """APPLY_MODEL wrapper: x ((b f) 4 h w), c_concat ((b f) 3 h w)."""
        level = kwargs.pop(LEVEL_COND, None)
        if level is not None:
            kwargs["y"] = level

        def evaluate(box: Box) -> Tensor:
            mm.throw_exception_if_processing_interrupted()
            return executor(x[..., box[0], box[1]], t, c_concat[..., box[0], box[1]], *args, **kwargs)

        return blended(evaluate, x, tile, overlap)

    def prepare(executor: Any, model: Any, noise_shape: Any, conds: Any, *args: Any, **kwargs: Any) -> Any:
        """PREPARE_SAMPLING wrapper: memory for a tile, not for the frame."""
        return executor(model, tile_shape(noise_shape, tile), conds, *args, **kwargs)

    places(tile + 1, tile, overlap)  # refuses an overlap that is too large
    patched = model.clone()
    patched.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, apply_model)
    patched.add_wrapper_with_key(WrappersMP.PREPARE_SAMPLING, KEY, prepare)
    return patched
