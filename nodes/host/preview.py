"""The clip as a small animation in the node that makes it, through the host's preview channel.

Shapes: latents (f c h w), frames (n h w 3) float 0..1.
"""

from __future__ import annotations

import time
from typing import Any

import comfy.latent_formats
import latent_preview
import torch
from PIL import Image
from torch import Tensor

MAX_FRAMES = 32
STRIP_FRAMES, STRIP_SIDE = 16, 256
SHARE = 0.02  # of the time that a clip takes may go into its previews


class AnimatedStrip(Image.Image):
    """A picture that is saved as an animation, large enough to be seen.

    The host's preview channel saves it like any other. It is a WebP, which pages tell by its content; a PNG
    of this size takes twice the time.
    """

    def __init__(self, frames: list[Image.Image], fps: float, pace: Pace):
        super().__init__()
        self.frames, self.fps, self.pace = frames, fps, pace
        self.im, self._mode, self._size = frames[0].im, frames[0].mode, frames[0].size

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        started = time.monotonic()
        first, *rest = [enlarged(frame) for frame in self.frames]
        duration = round(1000 / self.fps)
        options = {"append_images": rest, "duration": duration, "loop": 0, "quality": 75, "method": 0}
        first.save(fp, format="WEBP", save_all=True, **options)
        self.pace.took(time.monotonic() - started)


class Pace:
    """Pace of previews: together they take SHARE of the time, however slow one is."""

    def __init__(self, pause: float = 0.0) -> None:
        self.pause, self.due = pause, 0.0

    def is_due(self) -> bool:
        """True if it is time for the next one."""
        return time.monotonic() >= self.due

    def made(self, started: float) -> None:
        """One that was begun at a time of time.monotonic() is ready."""
        now = time.monotonic()
        self.due = now + max(self.pause, (now - started) / SHARE)

    def took(self, seconds: float) -> None:
        """So much more went into the last one: the server encodes it later, in a thread of its own."""
        self.due += seconds / SHARE


class ClipPreview:
    """Strips of a clip's latents as colours.

    Honours the host's preview method (none, latent2rgb, taesd, auto).
    """

    def __init__(self, model: Any, fps: float, pace: Pace) -> None:
        self.previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
        self.fps, self.pace = fps, pace

    def __call__(self, x0: Tensor, at_once: bool = False) -> tuple[str, Image.Image, None] | None:
        """Preview of latents (f c h w) for the host's progress bar; None when it is not time for one."""
        if self.previewer is None or not (at_once or self.pace.is_due()):
            return None
        stride = -(-x0.shape[0] // MAX_FRAMES)
        x0[0, 0, 0, 0].item()  # a device that is still computing is no cost of the preview
        started = time.monotonic()
        with torch.no_grad():
            frames = [self.previewer.decode_latent_to_preview(frame[None]) for frame in x0[::stride]]
        self.pace.made(started)
        return ("PNG", AnimatedStrip(frames, self.fps / stride, self.pace), None)


def latent_format_of(model: Any) -> Any:
    """The host's description of a MODEL's latents and their colours, without one that of SD 1.x."""
    return comfy.latent_formats.SD15() if model is None else model.model.latent_format


def latent_pictures(latents: Tensor, latent_format: Any) -> list[Image.Image]:
    """A LATENT's frames (f c h w) in the colours that the host gives latents, as large as they are."""
    colours = latent_preview.Latent2RGBPreviewer(
        latent_format.latent_rgb_factors,
        latent_format.latent_rgb_factors_bias,
        latent_format.latent_rgb_factors_reshape,
    )
    scaled = latent_format.process_in(latents.float().cpu())
    with torch.no_grad():
        return [colours.decode_latent_to_preview(frame[None]) for frame in scaled]


def enlarged(picture: Image.Image, side: int = STRIP_SIDE) -> Image.Image:
    """A picture whose longer side has at least `side` pixels: pages draw a preview no larger than it is."""
    factor = side / max(picture.size)
    if factor <= 1:
        return picture
    size = [max(1, round(factor * length)) for length in picture.size]
    return picture.resize(size, Image.Resampling.BILINEAR)


def thinned_out(frames: Tensor, side: int = STRIP_SIDE) -> Tensor:
    """Every n-th pixel of frames, so that their longest side is at most `side`."""
    stride = -(-max(frames.shape[1:3]) // side)
    return frames[:, ::stride, ::stride, :3]


def pictures(frames: Tensor) -> list[Image.Image]:
    """Frames as pictures."""
    pixels = (255 * frames[..., :3].float().clamp(0, 1)).round().to(torch.uint8).cpu().numpy()
    return [Image.fromarray(frame) for frame in pixels]
