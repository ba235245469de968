"""Frames of a folder of videos, kept on disk as they were read, and the clips that a training step draws from them.

Shapes: frames (f h w 3) uint8 on disk, (f 3 h w) in 0..1 drawn.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ...temporal.errors import InvalidInputError
from .videos import read_frames, video_paths

FOLDER, INDEX, FRAMES = "video_ldm_frames", "index.json", "frames.raw"


@dataclass(frozen=True)
class FrameStore:
    """All frames one after the other; `offsets` (videos + 1) says where each video begins."""

    frames: np.ndarray
    offsets: np.ndarray

    def draw(self, rng: np.random.Generator, num_frames: int, crop: int) -> Tensor:
        """A random run of frames of a random video, cropped to a random square."""
        starts = np.concatenate(
            [np.arange(a, b - num_frames + 1) for a, b in zip(self.offsets, self.offsets[1:], strict=False)]
        )
        start = int(rng.choice(starts))
        height, width = self.frames.shape[1:3]
        y, x = int(rng.integers(height - crop + 1)), int(rng.integers(width - crop + 1))
        clip = self.frames[start : start + num_frames, y : y + crop, x : x + crop]
        return rearrange(torch.from_numpy(np.array(clip)), "f h w c -> f c h w").float() / 255


def open_frames(folder: Path, fps: float, size: tuple[int, int], num_frames: int) -> FrameStore:
    """The frames of all videos in a folder; read once, and again when videos, rate or size change.

    Raises InvalidInputError when there are no videos, or none has enough frames.
    """
    paths, target = video_paths(folder), folder / FOLDER
    source = f"{fps:g} {size} {[(path.name, path.stat().st_mtime_ns) for path in paths]}"
    index = target / INDEX
    if not index.is_file() or json.loads(index.read_text("utf-8"))["source"] != source:
        _write(paths, target, source, fps, size)
    offsets = np.array(json.loads(index.read_text("utf-8"))["offsets"])
    longest = int(np.diff(offsets).max())
    if longest < num_frames:
        raise InvalidInputError(
            f"The longest video has {longest} frames at {fps:g} frames per second, but --frames asks for {num_frames}; use "
            "longer videos, a higher --fps or fewer --frames."
        )
    shape = (int(offsets[-1]), size[1], size[0], 3)
    return FrameStore(np.memmap(target / FRAMES, np.uint8, "r", shape=shape), offsets)


def _write(paths: list[Path], target: Path, source: str, fps: float, size: tuple[int, int]) -> None:
    """One video after the other; the index comes last, so that a folder with an index is complete."""
    target.mkdir(exist_ok=True)
    (target / INDEX).unlink(missing_ok=True)
    offsets = [0]
    with (target / FRAMES).open("wb") as file:
        for path in paths:
            frames = (255 * read_frames(path, fps, size)).round().to(torch.uint8)
            file.write(frames.numpy().tobytes())
            offsets.append(offsets[-1] + len(frames))
    partial = target / (INDEX + ".partial")
    partial.write_text(json.dumps({"source": source, "offsets": offsets}), "utf-8")
    partial.replace(target / INDEX)
