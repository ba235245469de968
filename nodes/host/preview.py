"""The clip as a small animation in the node that samples it, through the host's preview channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import comfy.utils
import latent_preview
import torch
from PIL import Image
from torch import Tensor

MAX_FRAMES = 32
STRIP_FRAMES, STRIP_SIDE = 16, 256


class AnimatedStrip(Image.Image):
    """A picture whose PNG is animated: the host's preview channel saves it like any other picture."""

    def __init__(self, frames: list[Image.Image], fps: float):
        super().__init__()
        self.frames, self.fps = frames, fps
        self.im, self._mode, self._size = frames[0].im, frames[0].mode, frames[0].size

    def save(self, fp: Any, format: str | None = None, **params: Any) -> None:
        first, *rest = self.frames
        duration = round(1000 / self.fps)
        first.save(
            fp, format="PNG", save_all=True, append_images=rest, duration=duration, loop=0, compress_level=1
        )


def preview_callback(
    model: Any, steps: int, fps: float, part: int = 0, parts: int = 1
) -> Callable[[int, Tensor, Tensor, int], None]:
    """A sampler callback that moves the host's progress bar and shows the clip so far.

    A node that samples several clips moves one bar through all `parts`; this is number `part`.
    Honours the host's preview method (none, latent2rgb, taesd, auto) and raises the host's interrupt.
    """
    previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format)
    progress = comfy.utils.ProgressBar(parts * steps)

    def callback(step: int, x0: Tensor, _x: Tensor, total_steps: int) -> None:
        preview = None if previewer is None else ("PNG", _strip(previewer, x0, fps), None)
        progress.update_absolute(part * total_steps + step + 1, parts * total_steps, preview)

    return callback


def _strip(previewer: Any, x0: Tensor, fps: float) -> AnimatedStrip:
    stride = -(-x0.shape[0] // MAX_FRAMES)
    with torch.no_grad():
        frames = [previewer.decode_latent_to_preview(frame[None]) for frame in x0[::stride]]
    return AnimatedStrip(frames, fps / stride)


def thumbnails(frames: Tensor) -> list[Image.Image]:
    """Small pictures of frames (n h w 3) in 0..1; their longest side is at most STRIP_SIDE."""
    pixels = (255 * frames[..., :3].clamp(0, 1)).round().to(torch.uint8).cpu().numpy()
    pictures = [Image.fromarray(frame) for frame in pixels]
    for picture in pictures:
        picture.thumbnail((STRIP_SIDE, STRIP_SIDE))
    return pictures
