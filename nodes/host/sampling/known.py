"""Known frames in a LATENT, and their way to the temporal layers.

A LATENT with known frames holds them in `samples`, and says beside it which they are (see `latents.py`). Its
`noise_mask` is 0 there, so that the host's own samplers pin the frames.

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
from ....temporal.sampling.affinity import MotionAmount
from ....temporal.sampling.known_frames import nearest_given
from ..latents import GIVEN_KEY, INDEX_KEY, KNOWN_KEY, SIZE_KEY, index_of, record_of
from ..layers.per_frame import IMAGE_COND, KNOWN_COND, masks, with_model_conds

RECORD_KEYS = (KNOWN_KEY, GIVEN_KEY, INDEX_KEY, SIZE_KEY)


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
        """Clip with every frame given: those that are not, as the given one that is nearest."""
        mask = self.mask.to(self.latents.device)
        return KnownFrames(self.latents[nearest_given(mask)[0]], torch.ones_like(mask))

    def pin(self, denoise_mask: Tensor | None) -> Tensor:
        """A host's mask (f 1 h w), 1 = denoise, under which the given frames stay."""
        return self._masked(denoise_mask, 0.0)

    def free(self, denoise_mask: Tensor | None) -> Tensor | None:
        """Mask without pins for layers that see the given frames.

        None when nothing else is masked.
        """
        if denoise_mask is None:
            return None
        freed = self._masked(denoise_mask, 1.0)
        return None if bool((freed == 1).all()) else freed

    def _masked(self, denoise_mask: Tensor | None, value: float) -> Tensor:
        shape = (len(self.mask), 1, *self.latents.shape[2:])
        mask = torch.ones(shape)
        if denoise_mask is not None:
            given = denoise_mask.float().reshape(-1, 1, *denoise_mask.shape[-2:])
            count = len(self.mask) if len(given) == 1 else min(len(given), len(self.mask))
            # where frames of another clip were joined on, the host leaves the mask of the first one
            mask = mask.to(given.device)
            mask[:count] = comfy.utils.reshape_mask(given, (count, *shape[1:]))
        mask[self.mask.to(mask.device)] = value
        return mask


def known_of(latent: Mapping[str, Any] | None) -> KnownFrames | None:
    """The known frames of a LATENT.

    None when it has none, or has them in another size than they were given in.

    Raises InvalidInputError when another node changed the number of frames since, and nothing says which ones
    it took.
    """
    record = None if latent is None else record_of(latent)
    if latent is None or record is None or record.scaled or not bool(record.known.any()):
        return None
    return KnownFrames(latent["samples"], record.known)


def scaled_of(latent: Mapping[str, Any] | None) -> KnownFrames | None:
    """The frames of a LATENT that were given in another size than it has now, None when there are none."""
    record = None if latent is None else record_of(latent)
    if latent is None or record is None or not record.scaled or not bool(record.known.any()):
        return None
    return KnownFrames(latent["samples"], record.known)


def forgotten(latent: Mapping[str, Any]) -> dict[str, Any]:
    """LATENT of which no frame is given; what is left of its mask is the artist's own."""
    kept = {key: value for key, value in latent.items() if key not in RECORD_KEYS}
    try:
        record = record_of(latent)
    except InvalidInputError:  # nobody knows which frames the mask pins
        kept.pop("noise_mask", None)
        return kept
    if record is not None and "noise_mask" in kept:
        mask = KnownFrames(latent["samples"], record.known).free(kept.pop("noise_mask"))
        kept |= {} if mask is None else {"noise_mask": mask}
    return kept


def with_frames(
    latent: Mapping[str, Any], frames: Tensor, places: tuple[tuple[int, int], ...], images: int = 0
) -> dict[str, Any]:
    """LATENT in which `frames` (k c h w) are given at `places`.

    Pairs (frame of the clip, number of the given one).

    The first `images` of them were images, which a decode can give back. A frame that was given before is
    replaced; where the clip has another size since, all of them are forgotten. Raises InvalidInputError when
    sizes differ.
    """
    samples = latent["samples"]
    if frames.shape[1:] != samples.shape[1:]:
        raise InvalidInputError(
            f"The given frames have latents of {_size(frames)}, the clip {_size(samples)}. Scale them to the "
            "size of the clip, or make the clip in their size; channels differ where another model's VAE was "
            "used."
        )
    latent = forgotten(latent) if scaled_of(latent) is not None else latent
    record, mask, samples = record_of(latent), latent.get("noise_mask"), samples.clone()
    if record is None and mask is not None:  # else the host may have joined another clip on
        mask = masks(mask, len(samples))
    nothing = torch.tensor([[-1, 0]]).repeat(len(samples), 1)
    known = torch.zeros(len(samples), dtype=torch.bool) if record is None else record.known.clone()
    given = nothing if record is None else record.given
    earlier = int(given[:, 0].max()) + 1
    for frame, number in places:
        samples[frame] = frames[number].to(samples)
        known[frame] = True
        given[frame] = torch.tensor([earlier + number, number < images])
    return {
        **latent,
        "samples": samples,
        KNOWN_KEY: known.float(),
        GIVEN_KEY: given,
        INDEX_KEY: index_of(latent),
        SIZE_KEY: tuple(samples.shape[2:]),
        "noise_mask": KnownFrames(samples, known).pin(mask),
    }


def _size(latents: Tensor) -> str:
    channels, height, width = latents.shape[1:]
    return f"{width} x {height} with {channels} channels"


def with_known(conditioning: list, known: KnownFrames, latent_format: Any, motion: MotionAmount) -> list:
    """CONDITIONING whose temporal layers see the known frames, in the sampler's scaled latents.

    The input stays as it was.

    Layers that animate an image see, at every frame, the known frame that is nearest.
    """
    mask = known.mask.to(known.latents)[:, None, None, None]
    scaled = latent_format.process_in(known.latents)
    images, distances = nearest_given(known.mask.cpu())
    affinity = motion.of_frames(distances).to(scaled)[:, None, None, None]
    given = {KNOWN_COND: (scaled * mask, mask), IMAGE_COND: (scaled[images.to(scaled.device)], affinity)}
    joined = {
        key: torch.cat([latents, number.expand_as(latents[:, :1])], dim=1)
        for key, (latents, number) in given.items()
    }
    return _with_conds(conditioning, joined)


def without_known(conditioning: list, known: KnownFrames) -> list:
    """CONDITIONING with no frame given, in a form that runs in one batch with the other."""
    frames, channels, *size = known.latents.shape
    nothing = known.latents.new_zeros(frames, channels + 1, *size)
    return _with_conds(conditioning, {KNOWN_COND: nothing, IMAGE_COND: nothing})


def _with_conds(conditioning: list, values: Mapping[str, Tensor]) -> list:
    conds = {key: comfy.conds.CONDNoiseShape(value) for key, value in values.items()}
    return with_model_conds(conditioning, conds)
