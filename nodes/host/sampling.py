"""Sampling of a clip with the host's samplers, schedulers, previews and interrupts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.utils
from torch import Tensor

from ...temporal.noise import correlated_noise
from .guider import VideoGuider
from .insertion import ClipSettings, set_clip
from .preview import preview_callback
from .prompts import MotionPrompt, with_motion

FPS_KEY = "video_ldm_fps"
SAMPLERS = comfy.samplers.KSampler.SAMPLERS
SCHEDULERS = comfy.samplers.KSampler.SCHEDULERS


@dataclass(frozen=True)
class SamplerSettings:
    """What an artist sets on the Video KSampler."""

    seed: int
    steps: int
    cfg: float
    cfg_last_frame: float
    sampler_name: str
    scheduler: str
    denoise: float
    noise_type: str
    noise_correlation: float
    fps: float


def sample_clip(
    model: Any,
    positive: list,
    negative: list,
    latent: dict,
    settings: SamplerSettings,
    motion: MotionPrompt | None,
) -> dict:
    """Denoise one clip; LATENT in, LATENT out with its frame rate.

    latent["samples"] (f c h w). With no temporal layers, independent noise and one cfg it is the host's KSampler.
    """
    model = set_clip(model, ClipSettings(fps=settings.fps))
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"])
    guider = VideoGuider(model)
    if motion is not None:
        positive, negative = with_motion(positive, motion.positive), with_motion(negative, motion.negative)
    guider.set_conds(positive, negative)
    guider.set_frame_scales(settings.cfg, settings.cfg_last_frame or settings.cfg, samples.shape[0])
    ksampler = comfy.samplers.KSampler(
        model,
        steps=settings.steps,
        device=model.load_device,
        sampler=settings.sampler_name,
        scheduler=settings.scheduler,
        denoise=settings.denoise,
        model_options=model.model_options,
    )
    denoised = guider.sample(
        clip_noise(samples, latent.get("batch_index"), settings),
        samples,
        comfy.samplers.sampler_object(settings.sampler_name),
        ksampler.sigmas,
        denoise_mask=latent.get("noise_mask"),
        callback=preview_callback(model, ksampler.sigmas.shape[-1] - 1, settings.fps),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=settings.seed,
    )
    device = comfy.model_management.intermediate_device()
    return {**latent, "samples": denoised.to(device), FPS_KEY: settings.fps}


def clip_noise(samples: Tensor, batch_index: list[int] | None, settings: SamplerSettings) -> Tensor:
    """Initial noise (f c h w); independent noise is the host's own, so that seeds mean what they mean there."""
    if settings.noise_type == "independent":
        return comfy.sample.prepare_noise(samples, settings.seed, batch_index)
    noise = correlated_noise(
        tuple(samples.shape), settings.seed, settings.noise_type, settings.noise_correlation
    )
    return noise.to(samples.dtype)
