"""Known frames in a LATENT, and their way to the temporal layers.

A LATENT with known frames holds them in `samples`, and says beside it which they are (see `latents.py`). Its `noise_mask`
is 0 there, so that the host's own samplers pin the frames.

Shapes: f frames, c h w a latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import comfy.conds
import comfy.utils
import torch
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ....temporal.sampling.affinity import Motion, nearest
from ....temporal.sampling.known_channels import nearest_given
from ..latents import GIVEN_KEY, KNOWN_KEY, given_numbers
from ..layers.insertion import IMAGE_COND, KNOWN_COND


@dataclass(frozen=True, eq=False)
class KnownFrames:
    """Latents of a clip (f c h w) and which of its frames are given, mask (f,) of bool."""

    latents: Tensor
    mask: Tensor

    def paste(self, samples: Tensor) -> Tensor:
        """Samples (f c h w) with the given frames exactly as they were."""
        pasted = samples.clone()
        pasted[self.mask] = self.latents[self.mask].to(samples)
        return pasted

    def spread(self) -> KnownFrames:
        """The same clip with every frame given: those that are not, as the given one that is nearest."""
        mask = self.mask.to(self.latents.device)
        return KnownFrames(self.latents[nearest_given(mask)], torch.ones_like(mask))

    def pin(self, denoise_mask: Tensor | None) -> Tensor:
        """A host's mask (f 1 h w), 1 = denoise, under which the given frames stay."""
        return self._masked(denoise_mask, 0.0)

    def free(self, denoise_mask: Tensor | None) -> Tensor | None:
        """The same mask where layers see the given frames and need no pins; None when nothing else is masked."""
        if denoise_mask is None:
            return None
        freed = self._masked(denoise_mask, 1.0)
        return None if bool((freed == 1).all()) else freed

    def _masked(self, denoise_mask: Tensor | None, value: float) -> Tensor:
        shape = (len(self.mask), 1, *self.latents.shape[2:])
        mask = (
            torch.ones(shape)
            if denoise_mask is None
            else comfy.utils.reshape_mask(denoise_mask.float(), shape)
        )
        mask = mask.clone()
        mask[self.mask.to(mask.device)] = value
        return mask


def known_of(latent: Mapping[str, Any] | None) -> KnownFrames | None:
    """The known frames of a LATENT, None when it has none.

    Raises InvalidInputError when another node changed the number of frames since they were given.
    """
    mask = None if latent is None else latent.get(KNOWN_KEY)
    if mask is None or not bool(mask.any()):
        return None
    samples = latent["samples"]
    if len(mask) != len(samples):
        raise InvalidInputError(
            f"The clip has {len(samples)} frames, but its known frames were given for one of {len(mask)}. Put the node that "
            "changes the number of frames before Known Frames."
        )
    return KnownFrames(samples, mask.bool())


def with_frames(
    latent: Mapping[str, Any], frames: Tensor, places: tuple[tuple[int, int], ...], images: int = 0
) -> dict[str, Any]:
    """LATENT in which `frames` (k c h w) are given at `places`: pairs (frame of the clip, number of the given one).

    The first `images` of them were images, which a decode can give back.

    Raises InvalidInputError when sizes differ or a frame is given that was given before.
    """
    samples = latent["samples"]
    if frames.shape[1:] != samples.shape[1:]:
        raise InvalidInputError(
            f"The given frames have latents of {_size(frames)}, the clip {_size(samples)}. Scale them to the size of the "
            "clip, or make the clip in their size; channels differ where another model's VAE was used."
        )
    before = known_of(latent)
    known = torch.zeros(len(samples), dtype=torch.bool) if before is None else before.mask.clone()
    clashes = [frame for frame, _ in places if known[frame]]
    if clashes:
        raise InvalidInputError(
            f"Frame {clashes[0]} was already given by an earlier Known Frames node; each frame can be given once."
        )
    samples, given = samples.clone(), given_numbers(latent).clone()
    earlier = int(given[:, 0].max()) + 1
    for frame, number in places:
        samples[frame] = frames[number].to(samples)
        known[frame] = True
        given[frame] = torch.tensor([earlier + number, number < images])
    marked = KnownFrames(samples, known)
    return {
        **latent,
        "samples": samples,
        KNOWN_KEY: known.float(),
        GIVEN_KEY: given,
        "noise_mask": marked.pin(latent.get("noise_mask")),
    }


def _size(latents: Tensor) -> str:
    channels, height, width = latents.shape[1:]
    return f"{width} x {height} with {channels} channels"


def with_known(conditioning: list, known: KnownFrames, latent_format: Any, motion: Motion) -> list:
    """CONDITIONING whose temporal layers see the known frames, in the sampler's scaled latents; the input stays as it was.

    Layers that animate an image see, at every frame, the known frame that is nearest.
    """
    mask = known.mask.to(known.latents)[:, None, None, None]
    scaled = latent_format.process_in(known.latents)
    images, distances = nearest(known.mask.tolist())
    affinity = motion.of_frames(distances).to(scaled)[:, None, None, None]
    given = {KNOWN_COND: (scaled * mask, mask), IMAGE_COND: (scaled[images.to(scaled.device)], affinity)}
    joined = {
        key: torch.cat([latents, number.expand_as(latents[:, :1])], dim=1)
        for key, (latents, number) in given.items()
    }
    return _with_conds(conditioning, joined)


def without_known(conditioning: list, known: KnownFrames) -> list:
    """The same CONDITIONING with no frame given, in a form that runs in one batch with the other."""
    frames, channels, *size = known.latents.shape
    nothing = known.latents.new_zeros(frames, channels + 1, *size)
    return _with_conds(conditioning, {KNOWN_COND: nothing, IMAGE_COND: nothing})


def _with_conds(conditioning: list, values: Mapping[str, Tensor]) -> list:
    conds = {key: comfy.conds.CONDNoiseShape(value) for key, value in values.items()}
    return [
        [tensor, {**options, "model_conds": {**options.get("model_conds", {}), **conds}}]
        for tensor, options in conditioning
    ]
