"""The noise schedule on a MODEL: the one that temporal layers were trained with, or one an artist prefers."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

from comfy.model_sampling import ModelSamplingDiscrete

from ....temporal.formats import Betas

logger = logging.getLogger(__name__)

AUTO, CHECKPOINT = "auto", "checkpoint"
CHOICES = {
    "linear": Betas("linear"),
    "sqrt_linear": Betas("sqrt_linear"),
    "lcm_linear": Betas("linear", lcm_steps=100),
    "lcm_sqrt_linear": Betas("sqrt_linear", lcm_steps=100),
    "linear_sdxl": Betas("linear", end=0.020),
    "lcm_linear_50": Betas("linear", lcm_steps=50),
    "lcm_sqrt_linear_50": Betas("sqrt_linear", lcm_steps=50),
    "cosine": Betas("cosine"),
    "sqrt": Betas("sqrt"),
    "squaredcos_cap_v2": Betas("squaredcos_cap_v2"),
}
NAMES = (AUTO, CHECKPOINT, *CHOICES)


def with_betas(model: Any, choice: str, trained: Betas | None) -> Any:
    """The MODEL with the chosen schedule: "auto" is the layers' own, "checkpoint" changes nothing.

    What the model predicts (noise, v) stays as it is, except that an lcm schedule also sets consistency
    sampling.
    """
    betas = trained if choice == AUTO else CHOICES.get(choice)
    if betas is None:
        return model
    current = model.get_model_object("model_sampling")
    if not isinstance(current, ModelSamplingDiscrete):
        logger.warning("The image model has continuous noise levels, so its schedule stays as it is.")
        return model
    settings = {"beta_schedule": betas.curve, "linear_start": betas.start, "linear_end": betas.end}
    kind = type(current) if betas.lcm_steps is None else _consistency(betas.lcm_steps)
    patched = model.clone()
    sampling = kind(SimpleNamespace(sampling_settings={**settings, "zsnr": current.zsnr}))
    patched.add_object_patch("model_sampling", sampling)
    return patched


def _consistency(steps: int) -> type:
    """The host's sampling for latent consistency models, distilled from so many steps."""
    from comfy_extras.nodes_model_advanced import LCM, ModelSamplingDiscreteDistilled

    return type("ConsistencySampling", (ModelSamplingDiscreteDistilled, LCM), {"original_timesteps": steps})
