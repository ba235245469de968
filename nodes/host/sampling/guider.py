"""Guidance of a clip.

The host's CFG guider with a scale per frame, known frames and guidance towards them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import comfy.model_base
import comfy.samplers
import latent_preview
import torch
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ....temporal.sampling.guidance import with_context
from ..layers.attached.stacks import (
    animates_image,
    condition_of,
    image_motion,
    layers_know_frames,
    makes_video,
)
from ..layers.per_frame import for_frames, hints, masks, odd_counts
from ..progress import SamplingProgress
from .known import KnownFrames, known_of, scaled_of, with_known, without_known

NO_LAYERS = (
    "This MODEL has no temporal layers, so its frames are separate pictures; for a video put Load Temporal "
    "Layers before the node."
)
SCALED = (
    "The clip was scaled after frames were given, so they are drawn anew like all others; to hold them, give "
    "them again in the new size with Known Frames."
)


class VideoGuider(comfy.samplers.CFGGuider):
    """Classifier-free guidance whose scale may differ between frames.

    With one scale it is the host's own guider.

    Known frames go through the temporal layers where these were trained on them or animate an image; others
    get them pinned. Either way the finished clip holds the given latents exactly, unless the image is to be
    drawn anew in another style.
    """

    def __init__(self, model: Any, fps: float):
        super().__init__(model)
        self.fps = fps
        self.last_cfg = self.cfg
        self.context_scale = 1.0
        self.known: KnownFrames | None = None
        self.scaled: KnownFrames | None = None
        self.remark: Callable[..., None] | None = None
        self.learned = False
        self.pasted = True

    def set_scales(self, cfg: float, last_cfg: float | None = None, context: float = 1.0) -> None:
        """Set the scale of the prompt from first to last frame, and of the known frames (1 = off).

        In between it is linear.
        """
        self.set_cfg(cfg)
        self.last_cfg = cfg if last_cfg is None else last_cfg
        self.context_scale = context

    def set_latent(self, latent: Mapping[str, Any] | None) -> None:
        """The LATENT of the clip that says which frames are given; before `set_conditions`."""
        self.known, self.scaled = known_of(latent), scaled_of(latent)

    def remarks(self, frames: int, mask_counts: Sequence[int] = ()) -> list[str]:
        """Remarks that an artist should read before a clip of so many frames is made."""
        conds = [cond for group in self.original_conds.values() for cond in group]
        texts = [len(cond["cross_attn"]) for cond in conds if cond.get("cross_attn") is not None]
        hint_counts = itertools.chain(*(hints(cond.get("control")) for cond in conds))
        said = odd_counts(texts, hint_counts, frames, mask_counts=mask_counts)
        model = self.model_patcher
        says_so = isinstance(model.model, comfy.model_base.SD_X4Upscaler)  # the node, in words of its own
        if frames > 1 and not says_so and not makes_video(model):
            said.append(NO_LAYERS)
        return [*said, SCALED] if self.scaled is not None else said

    def set_conditions(self, positive: list, negative: list) -> None:
        """Set the prompt and the negative prompt."""
        known = self.known
        model, animates = self.model_patcher, animates_image(self.model_patcher)
        self.learned = known is not None and (animates or layers_know_frames(model))
        if known is None or not self.learned:
            if known is not None and self.context_scale != 1.0:
                raise InvalidInputError(
                    f"context_guidance is {self.context_scale:g}, but this MODEL has no temporal layers that "
                    "were trained on known frames, so there is nothing to guide towards. Set it to 1, or "
                    "load layers that were."
                )
            self.set_conds(positive, negative)
            return
        if condition_of(model) == "nearest":
            if self.context_scale != 1.0:
                raise InvalidInputError(
                    "This model fills in between given frames and was never trained without them, so there "
                    "is nothing to guide away from. Set context_guidance to 1."
                )
            known = known.spread()
        motion = image_motion(model)
        self.pasted = not animates or motion.keeps_image
        given = partial(
            with_known, known=known, latent_format=model.get_model_object("latent_format"), motion=motion
        )
        if self.context_scale == 1.0:
            self.set_conds(given(positive), given(negative))
            return
        self.inner_set_conds(
            {
                "positive": given(positive),
                "negative": without_known(negative, known),
                "text": without_known(positive, known),
            }
        )

    def sample(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: Any,
        sigmas: Tensor,
        denoise_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        """Sample as the host does; the given frames are in what comes out, unless it is still noisy."""
        _check_levels(sigmas)
        callback, remark = kwargs.get("callback"), self.remark
        if callback is not None and getattr(callback, "__module__", None) == latent_preview.__name__:
            progress = SamplingProgress()
            kwargs["callback"], remark = (
                progress.beside(callback, self.model_patcher, self.fps),
                progress.remark,
            )
        counts = []
        if denoise_mask is not None and self.known is None and self.scaled is None:
            counts = [denoise_mask.shape[:-2].numel()]
            denoise_mask = masks(denoise_mask, len(latent_image))
        if remark is not None:
            remark(*self.remarks(len(latent_image), counts))
        if self.scaled is not None and len(self.scaled.mask) == len(latent_image):
            denoise_mask = self.scaled.free(denoise_mask)
        given, self.original_conds = self.original_conds, for_frames(self.original_conds, len(latent_image))
        try:
            return self._sampled(noise, latent_image, sampler, sigmas, denoise_mask, *args, **kwargs)
        finally:
            self.original_conds = given

    def _sampled(
        self,
        noise: Tensor,
        latent_image: Tensor,
        sampler: Any,
        sigmas: Tensor,
        denoise_mask: Tensor | None,
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        if self.known is None:
            return super().sample(noise, latent_image, sampler, sigmas, denoise_mask, *args, **kwargs)
        if self.known.latents.shape != latent_image.shape:
            raise InvalidInputError(
                f"The known frames belong to a clip of shape {tuple(self.known.latents.shape)}, but one of "
                f"shape {tuple(latent_image.shape)} is sampled. Connect the output of Known Frames to both."
            )
        noisy_rest = self.learned and not noise.any()  # of an earlier part of the schedule
        latent_image = latent_image if noisy_rest else self.known.paste(latent_image)
        denoise_mask = self.known.free(denoise_mask) if self.learned else self.known.pin(denoise_mask)
        made = super().sample(noise, latent_image, sampler, sigmas, denoise_mask, *args, **kwargs)
        finished = len(sigmas) == 0 or sigmas[-1] == 0
        return self.known.paste(made) if finished and self.pasted else made

    def predict_noise(
        self, x: Tensor, timestep: Tensor, model_options: dict | None = None, seed: int | None = None
    ):
        """Denoised frames (f c h w) under the guidance, from one batched evaluation."""
        options = model_options or {}
        text = self.conds.get("text")
        if text is None and self.last_cfg == self.cfg:
            return super().predict_noise(x, timestep, options, seed)
        conds = [self.conds.get("positive"), self.conds.get("negative")]
        scales = self._scales(x)
        outputs = _evaluate(self.inner_model, conds if text is None else [*conds, text], x, timestep, options)
        if text is not None:
            positive, negative, text_only = outputs
            outputs = list(with_context(positive, text_only, negative, self.context_scale))
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
            self.inner_model,
            outputs[0],
            outputs[1],
            scales,
            x,
            timestep,
            options,
            cond=conds[0],
            uncond=conds[1],
        )

    def _scales(self, x: Tensor) -> float | Tensor:
        if self.last_cfg == self.cfg:
            return self.cfg
        return torch.linspace(self.cfg, self.last_cfg, len(x)).reshape(-1, 1, 1, 1).to(x)


def _check_levels(sigmas: Tensor) -> None:
    """Refuse noise levels of which some are no numbers, which the host's samplers turn into an empty clip."""
    if not bool(torch.isfinite(sigmas).all()):
        raise InvalidInputError(
            f"The scheduler has no noise levels for {len(sigmas) - 1} steps: some of them are no numbers. "
            "Set more steps, or choose another scheduler."
        )


def _evaluate(model: Any, conds: list, x: Tensor, timestep: Tensor, options: dict) -> list[Tensor]:
    replacement = options.get("sampler_calc_cond_batch_function")
    if replacement is None:
        return comfy.samplers.calc_cond_batch(model, conds, x, timestep, options)
    return replacement(
        {"conds": conds, "input": x, "sigma": timestep, "model": model, "model_options": options}
    )
