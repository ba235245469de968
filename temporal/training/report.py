"""Pictures of a training run: its loss curve, and sample clips as a contact sheet and as a video.

Shapes: frames (f h w 3) float 0..1.
"""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from einops import rearrange
from torch import Tensor

from ..weights.whole_file import whole_file


def loss_curve(
    path: str | os.PathLike, losses: Sequence[float], held_out: Sequence[tuple[int, float]] = ()
) -> None:
    """Loss per step and its running mean as a PNG, with the loss on what was kept out as (step, loss)."""
    figure = _curve(losses, held_out)
    with whole_file(path) as partial:
        figure.savefig(partial, format="png", dpi=100)


def curve_picture(losses: Sequence[float]) -> Any:
    """Loss per step as a picture of PIL."""
    from PIL import Image

    file = io.BytesIO()
    _curve(losses, ()).savefig(file, format="png", dpi=64)
    return Image.open(file).convert("RGB")


def _curve(losses: Sequence[float], held_out: Sequence[tuple[int, float]]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.arange(1, len(losses) + 1), losses, linewidth=0.5, alpha=0.4)
    width = max(1, len(losses) // 50)
    mean = np.convolve(losses, np.ones(width) / width, mode="valid")
    axes.plot(np.arange(len(mean)) + width, mean, linewidth=1.5)
    if held_out:
        axes.plot(*zip(*held_out, strict=True), marker="o", markersize=3, color="black", label="kept out")
        axes.legend()
    axes.set(xlabel="step", ylabel="loss", yscale="log")
    return figure


def contact_sheet(path: str | os.PathLike, clips: Sequence[Tensor]) -> None:
    """One clip per row, its frames from left to right, as a PNG."""
    from PIL import Image

    rows = [rearrange(clip, "f h w c -> h (f w) c") for clip in clips]
    sheet = np.concatenate([row.clamp(0, 1).cpu().numpy() for row in rows])
    with whole_file(path) as partial:
        Image.fromarray((sheet * 255).round().astype(np.uint8)).save(partial, format="PNG")


def video(path: str | os.PathLike, clips: Sequence[Tensor], fps: float) -> None:
    """Clips of one size side by side as an H.264 file."""
    import imageio_ffmpeg

    frames = rearrange(list(clips), "n f h w c -> f h (n w) c")
    pixels = np.ascontiguousarray((frames.clamp(0, 1).cpu().numpy() * 255).round().astype(np.uint8))
    height, width = pixels.shape[1:3]
    with whole_file(path) as partial:
        writer = imageio_ffmpeg.write_frames(
            str(partial),
            (width, height),
            fps=fps,  # pyright: ignore[reportArgumentType] typed by its default, 16
            macro_block_size=2,
            output_params=["-f", "mp4"],
        )
        try:
            writer.send(None)
            for frame in pixels:
                writer.send(frame)
        finally:
            writer.close()
