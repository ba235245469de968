"""Initial noise that a MODEL brings to any sampler, and rounds that start from the last one (FreeInit)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from comfy.patcher_extension import WrappersMP
from torch import Tensor

from .....temporal.sampling.initial_noise import LowPass, NoiseSettings, initial_noise, next_round

KEY = "video_ldm.initial_noise"


def with_noise(model: Any, settings: NoiseSettings, rounds: int, low_pass: LowPass) -> Any:
    """Clone of a MODEL that is sampled from this noise, in so many rounds.

    A sampler that adds none stays as it is.
    """

    def wrapper(executor: Any, noise: Tensor, latent_image: Tensor, *args: Any, **kwargs: Any) -> Any:
        """OUTER_SAMPLE wrapper: the noise of the first round, and the rounds."""
        if not noise.any():
            return executor(noise, latent_image, *args, **kwargs)
        guider, seed = executor.class_obj, _seed(args, kwargs)
        windows = guider.model_options.get("context_handler")
        window = None if windows is None else (windows.context_length, windows.context_overlap)

        def drawn(number: int) -> Tensor:
            other = replace(settings, seed_offset=settings.seed_offset + number)
            return initial_noise(noise.shape, seed, other, window).to(noise)

        first = noise if settings == NoiseSettings() else drawn(0)
        made = executor(first, latent_image, *args, **kwargs)
        for number in range(1, rounds):
            first = next_round(made.to(noise), first, drawn(number), _sigma(guider.model_patcher), low_pass)
            made = executor(first, latent_image, *args, **kwargs)
        return made

    patched = model.clone()
    patched.remove_wrappers_with_key(WrappersMP.OUTER_SAMPLE, KEY)
    patched.add_wrapper_with_key(WrappersMP.OUTER_SAMPLE, KEY, wrapper)
    return patched


def _seed(args: tuple, kwargs: dict[str, Any]) -> int:
    """The seed of the sampler, which is the last of its arguments."""
    seed = kwargs.get("seed", args[-1] if len(args) == 6 else None)
    return seed if isinstance(seed, int) else 0


def _sigma(model: Any) -> float:
    """The highest noise level of a MODEL, in units of the latents it gives out."""
    scale = getattr(model.get_model_object("latent_format"), "scale_factor", 1.0)
    return float(model.get_model_object("model_sampling").sigma_max) / scale
