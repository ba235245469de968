"""Given images as known frames of a clip.

Shapes: f frames of the clip, k given frames, c h w a latent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from comfy_execution.graph_utils import ExecutionBlocker
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from ....temporal.errors import InvalidInputError
from ....temporal.sampling.known_frames import place
from ....temporal.video.fit import CROP, FITS, Size, fit_into
from ..progress import say
from .known import forgotten, known_of, scaled_of, with_frames

GIVEN_BEFORE = KEEP, FORGET = ("keep", "forget")
REFUSE = "refuse"
IMAGE_FITS = (REFUSE, *FITS)
NO_IMAGES = "Known Frames was given no images; connect some, or leave its output images unconnected."


def give_frames(
    latent: Mapping[str, Any],
    vae: Any,
    images: Sequence[Tensor],
    given_latents: Mapping[str, Any] | None,
    pattern: str,
    every: int,
    indices: str,
    given_before: str = KEEP,
) -> dict[str, Any]:
    """LATENT (f c h w) with images (k h w 3) and latents (k c h w) at the frames of a pattern.

    The images come before the latents.

    `given_before`: what becomes of the frames that an earlier node gave, one of GIVEN_BEFORE.

    Raises InvalidInputError for images without a VAE, sizes that differ and frames that do not fit in the
    clip.
    """
    if given_before == FORGET:
        latent = forgotten(latent)
        if not images and given_latents is None:
            return latent
    samples = latent["samples"]
    frames = [encode_images(vae, batch, tuple(samples.shape[2:])) for batch in images]
    if given_latents is not None:
        frames.append(given_latents["samples"])
    places = place(pattern, sum(map(len, frames)), len(samples), every, indices)
    _check_alike(frames)
    given = torch.cat([part.to(frames[0]) for part in frames])
    made = with_frames(latent, given, places, images=sum(map(len, images)))
    _say_what_was_replaced(latent, [frame for frame, _ in places])
    return made


def _say_what_was_replaced(latent: Mapping[str, Any], frames: Sequence[int]) -> None:
    before, scaled = known_of(latent), scaled_of(latent)
    if scaled is not None:
        say("The clip was scaled after frames were given; they are forgotten, but for those given here.")
    elif before is not None and (again := [frame for frame in sorted(frames) if before.mask[frame]]):
        say(f"Given before, and replaced here: frame {', '.join(map(str, again))}.")


def fit_images(latent: Mapping[str, Any], vae: Any, images: Sequence[Tensor], how: str) -> list[Tensor]:
    """Images (k h w 3) in the size of a clip, one of IMAGE_FITS; without a VAE nobody knows it."""
    if vae is None or how == REFUSE:
        return list(images)
    factor = vae.spacial_compression_encode()
    height, width = (factor * length for length in latent["samples"].shape[2:])
    return [_fitted(batch, (width, height), how) for batch in images]


def _fitted(images: Tensor, asked: Size, how: str) -> Tensor:
    height, width = images.shape[1:3]
    if (width, height) == asked:
        return images
    fit = fit_into((width, height), asked, how)
    pictures = rearrange(images[..., :3].float().cpu(), "k h w c -> k c h w")
    scaled = functional.interpolate(pictures, size=fit.scaled[::-1], mode="bicubic", antialias=True)
    frames = rearrange(scaled.clamp(0, 1), "k c h w -> k h w c").numpy()
    say(f"Images of {width} x {height} were made {asked[0]} x {asked[1]}: {how}.")
    return torch.stack([torch.from_numpy(fit(frame)) for frame in frames])


def given_images(images: Sequence[Tensor]) -> Tensor | ExecutionBlocker:
    """All images that were given (k h w 3); without any what stops the node that wants them."""
    return torch.cat([batch[..., :3] for batch in images]) if images else ExecutionBlocker(NO_IMAGES)


def keyframes_of(samples: Mapping[str, Any] | None, images: Sequence[Tensor], vae: Any) -> Mapping[str, Any]:
    """LATENT of keyframes (f c h w), as it is given or of images, which are cut to the size of the first.

    Raises InvalidInputError for neither or both, and images without a VAE.
    """
    if (samples is None) == (not images):
        raise InvalidInputError(
            f"Latent Interpolate was given {'samples and images' if images else 'no keyframes'}; connect "
            "samples, or images with a VAE."
        )
    if samples is not None:
        return samples
    height, width = images[0].shape[1:3]
    factor = 1 if vae is None else vae.spacial_compression_encode()
    size = max(1, height // factor), max(1, width // factor)
    cut = [_fitted(batch, (factor * size[1], factor * size[0]), CROP) for batch in images]
    return {"samples": torch.cat([encode_images(vae, batch, size) for batch in cut])}


def encode_images(vae: Any, images: Tensor, size: tuple[int, int]) -> Tensor:
    """Latents (k c h w) of images (k h w 3), one by one.

    A frame's latent does not depend on those given with it.
    """
    if vae is None:
        raise InvalidInputError("Images were given without a VAE; connect the VAE of the checkpoint.")
    factor = vae.spacial_compression_encode()
    height, width = images.shape[1:3]
    if (height, width) != (size[0] * factor, size[1] * factor):
        raise InvalidInputError(
            f"The given image is {width} x {height}, but the clip is made for {size[1] * factor} x "
            f"{size[0] * factor}. Choose crop, pad or stretch in fit, or make the empty latent in its size."
        )
    return torch.cat([vae.encode(image[None, ..., :3]) for image in images])


def _check_alike(frames: Sequence[Tensor]) -> None:
    shapes = {tuple(part.shape[1:]) for part in frames}
    if len(shapes) > 1:
        listed = " and ".join(
            f"{width} x {height} x {channels}" for channels, height, width in sorted(shapes)
        )
        raise InvalidInputError(
            f"The given frames have latents of different sizes, {listed} (channels last). Give frames of one "
            "size, encoded by one VAE."
        )
