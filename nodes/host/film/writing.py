"""A clip into films, chunk by chunk, whether a node of ours asks or one of the host's.

Shapes: chunks of frames (n h w 3) float 0..1.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import comfy.model_management as mm
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from ....temporal.claims import Claim
from ....temporal.video import Film, FilmWriter
from ..progress import FrameProgress
from .frame_stream import FrameStream

SMALL = 512  # longest side of a film that only shows what is in another


def write_films(clip: FrameStream, films: Mapping[Path | Claim, Film], small: Claim | None = None) -> None:
    """Write every frame of a clip into one or several films as it comes.

    The one at `small` is scaled down.
    """
    progress = FrameProgress(clip.num_frames, clip.fps)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(FilmWriter(path, film, mm.throw_exception_if_processing_interrupted))
            for path, film in films.items()
        ]
        for frames in clip.stream():
            for writer in writers:
                writer.write(scaled_down(frames) if writer.claim is small else frames)
            progress(frames)


def scaled_down(frames: Tensor) -> Tensor:
    """Frames whose longest side is at most SMALL pixels."""
    height, width = frames.shape[1:3]
    scale = SMALL / max(height, width)
    if scale >= 1:
        return frames
    small = max(2, round(height * scale)), max(2, round(width * scale))
    smaller = functional.interpolate(rearrange(frames, "n h w c -> n c h w"), size=small, mode="area")
    return rearrange(smaller, "n c h w -> n h w c")
