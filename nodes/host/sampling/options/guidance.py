"""Guidance that a MODEL brings to any sampler.

Another scale in parts of the sampling, one for each frame if wished.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import comfy.samplers
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

    @property
    def leaves_negative_out(self) -> bool:
        """True where the guidance is 1 all the time: the prompt alone, whatever the negative prompt is."""
        return {*self.first, *self.last} == {1.0}

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
        part = self.part_of(args)
        if part is None:
            return args["conds_out"]
        sampling, sigma = args["model"].model_sampling, float(args["sigma"].max())
        last = len(sampling.sigmas) - 1
        percent = 1 - float(sampling.timestep(torch.tensor(sigma, device=sampling.log_sigmas.device))) / last
        scale = part.scale(percent, positive)
        given = torch.as_tensor(args["cond_scale"]).to(positive)
        unguided = given == 1
        moved = torch.lerp(positive, negative, (1 - scale) / torch.where(unguided, 2, 1 - given))
        guided = torch.lerp(negative, positive, scale)
        return [
            torch.where(unguided, guided, positive),
            torch.where(unguided, negative, moved),
            *others,
        ]

    def part_of(self, args: Mapping[str, Any]) -> Guidance | None:
        """The part that holds at the noise level of a step, of several the last one added.

        None where the sampler's own scale holds.
        """
        sampling, sigma = args["model"].model_sampling, float(args["sigma"].max())
        return next((part for part in reversed(self.parts) if holds_at(part, sigma, sampling)), None)


class GuidedEvaluation:
    """A hook of the host that leaves the negative prompt out of steps whose guidance is 1.

    The result is that of both prompts, in half of the time. `inner`: what another node put there before.
    """

    def __init__(self, edit: GuidanceEdit, inner: Callable[[dict[str, Any]], list[Tensor]] | None) -> None:
        self.edit, self.inner = edit, inner

    def __call__(self, args: dict[str, Any]) -> list[Tensor]:
        """Predictions (f c h w) of the prompt and of the negative prompt."""
        conds, part = args["conds"], self.edit.part_of(args)
        if part is None or not part.leaves_negative_out or len(conds) != 2:
            return self._evaluated(args)
        positive = self._evaluated({**args, "conds": [conds[0], None]})[0]
        return [positive, positive]

    def _evaluated(self, args: dict[str, Any]) -> list[Tensor]:
        if self.inner is not None:
            return self.inner(args)
        given = (args[name] for name in ("model", "conds", "input", "sigma", "model_options"))
        return comfy.samplers.calc_cond_batch(*given)


def with_guidance(model: Any, part: Guidance) -> Any:
    """Clone of a MODEL with guidance of its own in one more part of the sampling."""
    patched = model.clone()
    edits = patched.model_options.get("sampler_pre_cfg_function", [])
    own = next((edit for edit in edits if isinstance(edit, GuidanceEdit)), GuidanceEdit(()))
    patched.model_options["sampler_pre_cfg_function"] = [edit for edit in edits if edit is not own]
    edit = GuidanceEdit((*own.parts, part))
    patched.set_model_sampler_pre_cfg_function(edit, disable_cfg1_optimization=True)
    if any(part.leaves_negative_out for part in edit.parts):
        before = patched.model_options.get("sampler_calc_cond_batch_function")
        inner = before.inner if isinstance(before, GuidedEvaluation) else before
        patched.set_model_sampler_calc_cond_batch_function(GuidedEvaluation(edit, inner))
    return patched
