"""Clips of a training encoded, each once, in a file of its own.

Shapes: frames (f h w 3) in 0..1; latents (f c h w).
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from torch import Tensor

from .....temporal.claims import sweep
from .....temporal.curation.folder import (
    Video,
    find_pictures,
    find_videos,
    frame_chunks,
    read_picture,
    with_trigger,
)
from .....temporal.errors import InvalidInputError
from .....temporal.training.config import TrainingConfig
from .....temporal.training.data import cache, preparing
from .....temporal.training.data.camera import MOVES, camera_clip
from ..kinds import TrainedModel
from .lost import captions_without_clips

logger = logging.getLogger(__name__)
FOLDER, FILES = "video_ldm_cache", "clips"
NO_FILE = "there is no such file"
STEM = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Footage:
    """A folder of clips, and how it is read: frames per second, (width, height), words before captions.

    `camera`: a move over each picture of the folder makes the clips, in the place of videos. `latents`: where
    they are kept; without it inside the folder. `buckets`: films keep their shape, and short ones are drawn
    at a shorter length; without it all have one size. `images`: share of the steps that see pictures of the
    folder.
    """

    folder: Path
    fps: float
    size: tuple[int, int]
    trigger: str = ""
    camera: str = ""
    latents: Path | None = None
    buckets: bool = False
    images: float = 0.0

    @property
    def place(self) -> Path:
        """Folder for the latents: one of their own, or one inside the folder of the clips."""
        return self.latents or self.folder / FOLDER

    def clips(self, needs_captions: bool, pictures: bool) -> list[Video]:
        """Clips of the folder with their captions."""
        wanted = needs_captions and not self.trigger
        videos = find_pictures(self.folder) if self.camera else find_videos(self.folder, wanted, pictures)
        if lost := captions_without_clips(self.folder):
            logger.info(lost)
        return with_trigger(videos, self.trigger)


@dataclass(frozen=True)
class Encoded:
    """A video and its latents, or why it is not trained on."""

    video: Video
    path: Path
    frames: int = 0
    why: str = ""


def shortest(config: TrainingConfig) -> int:
    """Frames that a clip needs to be trained on at the smallest length and stride."""
    return (min((config.num_frames, *config.other_lengths)) - 1) * min(config.strides) + 1


def encoded(videos: list[Video], kind: TrainedModel, footage: Footage) -> Iterator[Encoded]:
    """Latents of every video, from its file where there is one; a few frames are in memory at a time."""
    encoder, target = kind.models.vae_fingerprint(), footage.place
    (width, height), fps = footage.size, footage.fps
    move = f"-{footage.camera}-{longest(kind.config)}" if footage.camera else ""
    place = target / FILES / f"{kind.cache_name.strip()}{encoder}-{width}x{height}-{fps:g}fps{move}"
    place.mkdir(parents=True, exist_ok=True)
    sweep(place)
    made = 0
    for number, video in enumerate(videos, start=1):
        if not video.path.is_file():
            yield Encoded(video, video.path, why=f"is left out ({NO_FILE})")
            continue
        path = place / f"{STEM.sub('_', video.path.stem)[:60]}-{_stamp(video, footage.folder)}.npy"
        latents = cache.mapped(path)
        if latents is not None:
            yield Encoded(video, path, len(latents))
            continue
        try:
            frames = _frames(video, footage, kind.config)
            first = next(frames)  # what cannot be decoded leaves no file
            count = preparing.write_latents(path, map(kind.encode, chain([first], frames)))
        except InvalidInputError as error:
            yield Encoded(video, path, why=f"is left out ({error})")
            continue
        made += 1
        logger.info("encoded %d of %d videos", number, len(videos))
        yield Encoded(video, path, count)


def _frames(video: Video, footage: Footage, config: TrainingConfig) -> Iterator[Tensor]:
    """Frames of a clip, some at a time."""
    if not footage.camera:
        yield from frame_chunks(video, footage.fps, footage.size)
        return
    yield camera_clip(read_picture(video.path), MOVES[footage.camera], longest(config), footage.size)


def longest(config: TrainingConfig) -> int:
    """Frames that the longest length and stride need."""
    return (config.num_frames - 1) * max(config.strides) + 1


def checked(row: Encoded, needed: int, fps: float) -> Encoded:
    """The row with why it cannot be trained on, if it cannot."""
    if row.why or row.frames >= needed:
        return row
    why = f"has {row.frames} frames at {fps:g} frames per second, but --frames and --strides need {needed}"
    return Encoded(row.video, row.path, row.frames, why)


def _stamp(video: Video, folder: Path) -> str:
    """Short name of a file as it is now, and of the part of it."""
    facts = video.path.stat()
    parts = (video.path.relative_to(folder).as_posix(), facts.st_mtime_ns, facts.st_size)
    return hashlib.sha1(repr((*parts, video.start, video.seconds)).encode()).hexdigest()[:16]
