"""Frames of a folder of videos, kept on disk as they were read: (f h w 3) uint8."""

from __future__ import annotations

import json
import logging
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch

from .....temporal.claims import sweep
from .....temporal.curation.folder import Video, find_videos, frame_chunks
from .....temporal.training.data.frames import FrameStore
from .....temporal.training.data.sealed import is_sound, sealed_file
from .....temporal.weights.whole_file import whole_file

logger = logging.getLogger(__name__)
FOLDER, INDEX, FRAMES = "video_ldm_frames", "index.json", "frames.raw"


def open_frames(folder: Path, fps: float, size: tuple[int, int]) -> FrameStore:
    """The frames of all videos in a folder.

    Read once, and again when videos, rate or size change, or when what was kept is damaged.

    Raises InvalidInputError when there are no videos, OutputError when the disk does not take their frames.
    """
    videos, target = find_videos(folder, needs_captions=False), folder / FOLDER
    stamps = [
        (video.path.name, video.path.stat().st_mtime_ns, video.start, video.seconds) for video in videos
    ]
    source = f"{fps:g} {size} {stamps}"
    sweep(target)
    offsets = _kept(target, source, size)
    if offsets is None:
        offsets = _write(videos, target, source, fps, size)
    shape = (offsets[-1], size[1], size[0], 3)
    return FrameStore(np.memmap(target / FRAMES, np.uint8, "r", shape=shape), np.array(offsets))


def _kept(target: Path, source: str, size: tuple[int, int]) -> list[int] | None:
    """Start of each clip among the frames that are kept.

    None where they are of another source, or damaged.
    """
    try:
        index = json.loads((target / INDEX).read_text("utf-8"))
        if index["source"] != source:
            return None
        offsets = index["offsets"]
        rises = offsets[0] == 0 and all(type(b) is int and a < b for a, b in pairwise(offsets))
        whole = rises and (target / FRAMES).stat().st_size == 3 * size[0] * size[1] * offsets[-1]
        if whole and is_sound(target / FRAMES):
            return offsets
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        pass
    logger.info("the frames in %s are damaged and are read again", target)
    return None


def _write(videos: list[Video], target: Path, source: str, fps: float, size: tuple[int, int]) -> list[int]:
    """One video after the other; the index comes last, so that a folder with an index is complete."""
    target.mkdir(exist_ok=True)
    (target / INDEX).unlink(missing_ok=True)
    offsets = [0]
    with sealed_file(target / FRAMES) as partial, partial.open("wb") as file:
        for video in videos:
            count = 0
            for frames in frame_chunks(video, fps, size):
                file.write((255 * frames).round().to(torch.uint8).numpy().tobytes())
                count += len(frames)
            offsets.append(offsets[-1] + count)
    with whole_file(target / INDEX) as partial:
        partial.write_text(json.dumps({"source": source, "offsets": offsets}), "utf-8")
    return offsets
