"""Guidance of a clip: the host's CFG guider with a scale per frame."""

from __future__ import annotations

from typing import Any

import comfy.samplers
import torch
from torch import Tensor


class VideoGuider(comfy.samplers.CFGGuider):
    """Classifier-free guidance whose scale may differ between frames; with one scale it is the host's own guider."""

    def set_frame_scales(self, first: float, last: float, num_frames: int) -> None:
        """Scales from the first to the last frame, linear in between."""
        self.set_cfg(first)
        self.frame_scales = None
        if first != last:
            self.frame_scales = torch.linspace(first, last, num_frames).reshape(num_frames, 1, 1, 1)

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: dict | None = None, seed: int | None = None
    ):
        """Denoised frames (f c h w) under the guidance."""
        options = model_options or {}
        if self.frame_scales is None:
            return super().predict_noise(x, timestep, options, seed)
        conds = [self.conds.get("positive"), self.conds.get("negative")]
        scales = self.frame_scales.to(x)
        outputs = _evaluate(self.inner_model, conds, x, timestep, options)
        for edit in options.get("sampler_pre_cfg_function", []):
            outputs = edit(
                {
                    "conds": conds,
                    "conds_out": outputs,
                    "cond_scale": scales,
                    "timestep": timestep,
                    "sigma": timestep,
                    "input": x,
                    "model": self.inner_model,
                    "model_options": options,
                }
            )
        return comfy.samplers.cfg_function(
            self.inner_model, *outputs[:2], scales, x, timestep, options, cond=conds[0], uncond=conds[1]
        )


def _evaluate(model: Any, conds: list, x: Tensor, timestep: Tensor, options: dict) -> list[Tensor]:
    replacement = options.get("sampler_calc_cond_batch_function")
    if replacement is None:
        return comfy.samplers.calc_cond_batch(model, conds, x, timestep, options)
    return replacement(
        {"conds": conds, "input": x, "sigma": timestep, "model": model, "model_options": options}
    )
