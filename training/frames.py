"""Frames of a folder of videos, kept on disk as they were read: (f h w 3) uint8."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from ..temporal.training.data.frames import FrameStore
from .videos import read_frames, video_paths

FOLDER, INDEX, FRAMES = "video_ldm_frames", "index.json", "frames.raw"


def open_frames(folder: Path, fps: float, size: tuple[int, int]) -> FrameStore:
    """The frames of all videos in a folder; read once, and again when videos, rate or size change.

    Raises InvalidInputError when there are no videos.
    """
    paths, target = video_paths(folder), folder / FOLDER
    source = f"{fps:g} {size} {[(path.name, path.stat().st_mtime_ns) for path in paths]}"
    index = target / INDEX
    if not index.is_file() or json.loads(index.read_text("utf-8"))["source"] != source:
        _write(paths, target, source, fps, size)
    offsets = np.array(json.loads(index.read_text("utf-8"))["offsets"])
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
