"""Sampling of a clip with the host's samplers, schedulers, previews and interrupts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import comfy.model_management
import comfy.sample
import comfy.samplers
import comfy.utils
from torch import Tensor

from ....temporal.sampling.noise import SEEDS, NoiseMode, correlated_noise
from ....temporal.sampling.schedules.hurry import hurried
from ..latents import FPS_KEY
from ..layers.attached.settings import ClipSettings, set_clip_settings
from ..progress import SamplingProgress
from .guider import VideoGuider
from .prompts import MotionPrompt, with_motion

LAST_SEED = SEEDS - 2  # the host's ddim takes the seed after it for what is under a mask


def samplers() -> list[str]:
    """Names of the host's samplers, those that other packs have added by now included."""
    return list(comfy.samplers.KSampler.SAMPLERS)


def schedulers() -> list[str]:
    """Names of the host's schedules of noise levels, those of other packs included."""
    return list(comfy.samplers.KSampler.SCHEDULERS)


@dataclass(frozen=True)
class SamplerSettings:
    """An artist's settings on the Video KSampler."""

    seed: int
    steps: int
    cfg: float
    sampler_name: str
    scheduler: str
    fps: float
    cfg_last_frame: float = 0.0
    denoise: float = 1.0
    noise_type: NoiseMode = "independent"
    noise_correlation: float = 0.5
    context_guidance: float = 1.0
    draft: bool = False


def sample_clip(
    model: Any,
    positive: list,
    negative: list,
    latent: Any,
    settings: SamplerSettings,
    motion: MotionPrompt | None,
    progress: SamplingProgress | None = None,
    part: int = 0,
) -> dict:
    """Denoise one clip, number `part` of those that a node makes; LATENT in, LATENT out with its frame rate.

    latent["samples"] (f c h w). With no temporal layers, independent noise and one cfg it is the host's
    KSampler.
    """
    samples = comfy.sample.fix_empty_latent_channels(model, latent["samples"])
    latent = {**latent, "samples": samples}
    scales = (settings.cfg, settings.cfg_last_frame or settings.cfg, settings.context_guidance)
    guider = make_guider(model, positive, negative, scales, settings.fps, latent, motion)
    progress = progress or SamplingProgress()
    model, guider.remark = guider.model_patcher, progress.remark
    ksampler = comfy.samplers.KSampler(
        model,
        steps=settings.steps,
        device=model.load_device,
        sampler=settings.sampler_name,
        scheduler=settings.scheduler,
        denoise=settings.denoise,
        model_options=model.model_options,
    )
    sigmas = hurried(ksampler.sigmas) if settings.draft else ksampler.sigmas
    if settings.draft:
        progress.remark(_of_draft(len(ksampler.sigmas) - 1, len(sigmas) - 1))
    denoised = guider.sample(
        clip_noise(samples, latent.get("batch_index"), settings),
        samples,
        comfy.samplers.sampler_object(settings.sampler_name),
        sigmas,
        denoise_mask=latent.get("noise_mask"),
        callback=progress.callback(model, settings.fps, part),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=min(settings.seed, LAST_SEED),
    )
    device = comfy.model_management.intermediate_device()
    return {**latent, "samples": denoised.to(device), FPS_KEY: settings.fps}


def _of_draft(steps: int, taken: int) -> str:
    if taken == steps:
        return f"{steps} steps are too few for a draft: this is the clip itself."
    return f"Draft in {taken} of {steps} steps; for the clip itself switch draft off and keep the seed."


def make_guider(
    model: Any,
    positive: list,
    negative: list,
    scales: tuple[float, float, float],
    fps: float,
    latent: Mapping[str, Any] | None,
    motion: MotionPrompt | None,
) -> VideoGuider:
    """Guider of one clip.

    `scales`: of the prompt at the first and last frame, of the known frames in `latent`.
    """
    guider = VideoGuider(set_clip_settings(model, ClipSettings(fps=fps)), fps)
    if motion is not None:
        positive, negative = with_motion(positive, motion.positive), with_motion(negative, motion.negative)
    guider.set_scales(*scales)
    guider.set_latent(latent)
    guider.set_conditions(positive, negative)
    return guider


def clip_noise(samples: Tensor, batch_index: list[int] | None, settings: SamplerSettings) -> Tensor:
    """Initial noise (f c h w).

    Independent noise is the host's own, so that seeds mean what they mean there.
    """
    if settings.noise_type == "independent":
        batch_index = batch_index if batch_index is not None and len(batch_index) == len(samples) else None
        return cast(Tensor, comfy.sample.prepare_noise(samples, settings.seed, batch_index))
    noise = correlated_noise(samples.shape, settings.seed, settings.noise_type, settings.noise_correlation)
    return noise.to(samples.dtype)
