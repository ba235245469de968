"""Frames of a folder of videos, kept on disk as they were read: (f h w 3) uint8."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from ..temporal.training.data.frames import FrameStore
from .videos import Video, find_videos, read_frames

FOLDER, INDEX, FRAMES = "video_ldm_frames", "index.json", "frames.raw"


def open_frames(folder: Path, fps: float, size: tuple[int, int]) -> FrameStore:
    """The frames of all videos in a folder; read once, and again when videos, rate or size change.

    Raises InvalidInputError when there are no videos.
    """
    videos, target = find_videos(folder, needs_captions=False), folder / FOLDER
    stamps = [
        (video.path.name, video.path.stat().st_mtime_ns, video.start, video.seconds) for video in videos
    ]
    source = f"{fps:g} {size} {stamps}"
    index = target / INDEX
    if not index.is_file() or json.loads(index.read_text("utf-8"))["source"] != source:
        _write(videos, target, source, fps, size)
    offsets = np.array(json.loads(index.read_text("utf-8"))["offsets"])
    shape = (int(offsets[-1]), size[1], size[0], 3)
    return FrameStore(np.memmap(target / FRAMES, np.uint8, "r", shape=shape), offsets)


def _write(videos: list[Video], target: Path, source: str, fps: float, size: tuple[int, int]) -> None:
    """One video after the other; the index comes last, so that a folder with an index is complete."""
    target.mkdir(exist_ok=True)
    (target / INDEX).unlink(missing_ok=True)
    offsets = [0]
    with (target / FRAMES).open("wb") as file:
        for video in videos:
            frames = (
                (255 * read_frames(video.path, fps, size, video.start, video.seconds)).round().to(torch.uint8)
            )
            file.write(frames.numpy().tobytes())
            offsets.append(offsets[-1] + len(frames))
    partial = target / (INDEX + ".partial")
    partial.write_text(json.dumps({"source": source, "offsets": offsets}), "utf-8")
    partial.replace(target / INDEX)
