"""Guidance that a MODEL brings to any sampler.

Another scale in parts of the sampling, one for each frame if wished.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...layers.attached.settings import holds_at


@dataclass(frozen=True)
class Guidance:
    """Guidance scales of every frame at the start and at the end of a part of the sampling.

    `first` and `last`: one number, or one for each frame.
    """

    first: tuple[float, ...]
    last: tuple[float, ...]
    start_percent: float
    end_percent: float

    def scale(self, percent: float, like: Tensor) -> Tensor:
        """The scale of every frame (f 1 1 1) at a point of the sampling."""
        span = self.end_percent - self.start_percent
        share = min(max((percent - self.start_percent) / span, 0.0), 1.0) if span else 0.0
        first, last = (_per_frame(numbers, len(like)) for numbers in (self.first, self.last))
        return torch.lerp(first, last, share).reshape(-1, 1, 1, 1).to(like)


def _per_frame(numbers: tuple[float, ...], num_frames: int) -> Tensor:
    """A number for each frame; the last goes on."""
    return torch.tensor([numbers[min(frame, len(numbers) - 1)] for frame in range(num_frames)])


class GuidanceEdit:
    """A hook of the host with which the sampler's one scale has the effect of ours.

    It changes the prediction without the prompt: RescaleCFG, perturbed attention and their like compare with
    the one under it. Where the sampler's cfg is 1, which leaves that prediction out, it changes the other.
    """

    def __init__(self, parts: tuple[Guidance, ...]) -> None:
        self.parts = parts

    def __call__(self, args: Mapping[str, Any]) -> list[Tensor]:
        """The two predictions (f c h w).

        Of several parts of the sampling that hold, the last one added counts.
        """
        positive, negative, *others = args["conds_out"]
        sampling, sigma = args["model"].model_sampling, float(args["sigma"].max())
        parts = [part for part in self.parts if holds_at(part, sigma, sampling)]
        if not parts:
            return args["conds_out"]
        last = len(sampling.sigmas) - 1
        percent = 1 - float(sampling.timestep(torch.tensor(sigma, device=sampling.log_sigmas.device))) / last
        scale = parts[-1].scale(percent, positive)
        given = torch.as_tensor(args["cond_scale"]).to(positive)
        unguided = given == 1
        moved = torch.lerp(positive, negative, (1 - scale) / torch.where(unguided, 2, 1 - given))
        guided = torch.lerp(negative, positive, scale)
        return [
            torch.where(unguided, guided, positive),
            torch.where(unguided, negative, moved),
            *others,
        ]


def with_guidance(model: Any, part: Guidance) -> Any:
    """Clone of a MODEL with guidance of its own in one more part of the sampling."""
    patched = model.clone()
    edits = patched.model_options.get("sampler_pre_cfg_function", [])
    own = next((edit for edit in edits if isinstance(edit, GuidanceEdit)), GuidanceEdit(()))
    patched.model_options["sampler_pre_cfg_function"] = [edit for edit in edits if edit is not own]
    patched.set_model_sampler_pre_cfg_function(
        GuidanceEdit((*own.parts, part)), disable_cfg1_optimization=True
    )
    return patched
