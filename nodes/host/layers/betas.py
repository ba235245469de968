"""The noise schedule on a MODEL: the one that temporal layers were trained with, or one an artist prefers."""

from __future__ import annotations

import logging
import math
from types import SimpleNamespace
from typing import Any

import torch
from comfy.model_sampling import ModelSamplingDiscrete, rescale_zero_terminal_snr_sigmas
from torch import Tensor

from ....temporal.formats import Betas

logger = logging.getLogger(__name__)

AUTO, CHECKPOINT = "auto", "checkpoint"
SQUARED_COSINE = "squaredcos_cap_v2"
STEPS, MOST = 1000, 0.999  # of training, and the largest beta of a cosine
OLD_AUTO = "as AnimateDiff-Evolved"
OLD_AUTO_FAMILIES = {  # for which that pack did not choose what they were trained with
    "AnimateLCM": "lcm_linear_50",
    "AnimateLCM-I2V": "lcm_linear_50",
}
CHOICES = {
    "linear": Betas("linear"),
    "sqrt_linear": Betas("sqrt_linear"),
    "lcm_linear": Betas("linear", lcm_steps=100),
    "lcm_sqrt_linear": Betas("sqrt_linear", lcm_steps=100),
    "linear_sdxl": Betas("linear", end=0.020),
    "lcm_linear_50": Betas("linear", lcm_steps=50),
    "lcm_sqrt_linear_50": Betas("sqrt_linear", lcm_steps=50),
    "lcm_linear_25": Betas("linear", lcm_steps=25),
    "cosine": Betas("cosine"),
    "sqrt": Betas("sqrt"),
    SQUARED_COSINE: Betas(SQUARED_COSINE),
}
AVERAGES = {  # of the noise levels of two
    "average": ("linear", "sqrt_linear"),
    "lcm_average_50": ("lcm_linear_50", "lcm_sqrt_linear_50"),
}
NAMES = (AUTO, CHECKPOINT, *CHOICES, *AVERAGES)


def with_betas(model: Any, choice: str, trained: Betas | None) -> Any:
    """The MODEL with the chosen schedule: "auto" is the layers' own, "checkpoint" changes nothing.

    What the model predicts (noise, v) stays as it is, except that an lcm schedule also sets consistency
    sampling.
    """
    parts = [trained] if choice == AUTO else [CHOICES.get(name) for name in AVERAGES.get(choice, (choice,))]
    chosen = [betas for betas in parts if betas is not None]
    if len(chosen) < len(parts):
        return model
    current = model.get_model_object("model_sampling")
    if not isinstance(current, ModelSamplingDiscrete):
        logger.warning("The image model has continuous noise levels, so its schedule stays as it is.")
        return model
    sampling, *others = (_sampling(betas, current) for betas in chosen)
    if others:
        levels = [one.get_buffer("sigmas") for one in (sampling, *others)]
        sampling.set_sigmas(torch.stack(levels).mean(0))
    patched = model.clone()
    patched.add_object_patch("model_sampling", sampling)
    return patched


def _squared_cosine(levels: int, zero_snr: bool) -> Tensor:
    """Noise levels (levels,) of a squared cosine, as a distilled model has only every so many of them.

    Improved DDPM, section 3.2.
    """

    def signal(time: float) -> float:
        return math.cos((time + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - signal((i + 1) / STEPS) / signal(i / STEPS), MOST) for i in range(STEPS)]
    signals = torch.cumprod(1 - torch.tensor(betas, dtype=torch.float64), dim=0)
    sigmas = ((1 - signals) / signals).sqrt().float()
    sigmas = rescale_zero_terminal_snr_sigmas(sigmas) if zero_snr else sigmas
    every = STEPS // levels
    return sigmas[every - 1 :: every]


def _sampling(betas: Betas, current: ModelSamplingDiscrete) -> ModelSamplingDiscrete:
    """The host's noise levels of a schedule."""
    own = betas.curve == SQUARED_COSINE  # the host lists it, but makes it of what its schedule cannot read
    curve = "linear" if own else betas.curve
    settings = {"beta_schedule": curve, "linear_start": betas.start, "linear_end": betas.end}
    kind = type(current) if betas.lcm_steps is None else _consistency(betas.lcm_steps)
    sampling = kind(SimpleNamespace(sampling_settings={**settings, "zsnr": current.zsnr}))
    if own:
        sampling.set_sigmas(_squared_cosine(len(sampling.get_buffer("sigmas")), current.zsnr))
    return sampling


def _consistency(steps: int) -> type:
    """The host's sampling for latent consistency models, distilled from so many steps."""
    from comfy_extras.nodes_model_advanced import LCM, ModelSamplingDiscreteDistilled

    return type("ConsistencySampling", (ModelSamplingDiscreteDistilled, LCM), {"original_timesteps": steps})
