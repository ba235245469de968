"""The clips of a training: encoded once, a file each, and a table of them.

The table tells those that are trained on from those that are not.

Shapes: frames (f h w 3) in 0..1; latents (f c h w).
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
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
from .....temporal.training.data.reversal import reversed_captions
from .....temporal.weights.whole_file import whole_file
from ..kinds import TrainedModel

logger = logging.getLogger(__name__)
FOLDER, FILES, TABLE = "video_ldm_cache", "clips", "clips.csv"
SHOWN = 3  # clips that a message names
STEM = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Footage:
    """A folder of clips, and how it is read: frames per second, (width, height), words before captions.

    `camera`: a move over each picture of the folder makes the clips, in the place of videos. `latents`: where
    they are kept; without it inside the folder.
    """

    folder: Path
    fps: float
    size: tuple[int, int]
    trigger: str = ""
    camera: str = ""
    latents: Path | None = None

    @property
    def place(self) -> Path:
        """Folder for the latents: one of their own, or one inside the folder of the clips."""
        return self.latents or self.folder / FOLDER

    def clips(self, needs_captions: bool, pictures: bool) -> list[Video]:
        """Clips of the folder with their captions."""
        wanted = needs_captions and not self.trigger
        videos = find_pictures(self.folder) if self.camera else find_videos(self.folder, wanted, pictures)
        return with_trigger(videos, self.trigger)


@dataclass(frozen=True)
class Encoded:
    """A video and its latents, or why it is not trained on."""

    video: Video
    path: Path
    frames: int = 0
    why: str = ""


def prepare_clips(footage: Footage, kind: TrainedModel) -> cache.ClipCache:
    """The clips as latents and text embeddings, from a cache where it is still good."""
    encoder, folder = kind.models.text_fingerprint(), footage.folder
    if footage.latents is not None or not (folder / cache.INDEX).exists():
        folder = _cache_of_videos(footage, kind)
    captions = cache.read_index(folder)["captions"]
    preparing.add_captions(folder, reversed_captions(captions, kind.config.reversed))
    preparing.write_captions(folder, encoder, kind.models.embed)
    clips, channels = cache.open_cache(folder, encoder), kind.models.channels
    if clips.latents.shape[1] != channels:
        raise InvalidInputError(
            f"The clips in {folder} were prepared for a model of {clips.latents.shape[1]} channels, but "
            f"this one takes in {channels}; give the folder of videos they were made from."
        )
    return clips


def _cache_of_videos(footage: Footage, kind: TrainedModel) -> Path:
    """An index of the clips that are long enough, and a table of all."""
    folder, needed = footage.folder, shortest(kind.config)
    kind.check_size(*footage.size)
    videos = footage.clips(kind.needs_captions, pictures=needed == 1)
    target = footage.place
    rows = list(_encoded(videos, target, kind, footage))
    rows = [_checked(row, needed, footage.fps) for row in rows]
    used = [row for row in rows if not row.why]
    _write_table(target / TABLE, folder, rows)
    told = _told([f"{row.video.path.name} {row.why}" for row in rows if row.why])
    if not used:
        raise InvalidInputError(
            f"None of {len(rows)} clips can be trained on: {told}. Use longer videos, a higher --fps or "
            "fewer --frames."
        )
    logger.info("%d of %d clips are trained on%s", len(used), len(rows), f"; {told}" if told else "")
    more: dict[str, list[Any]] = {
        "files": [row.path.relative_to(target).as_posix() for row in used],
        "sources": [row.video.path.relative_to(folder).as_posix() for row in used],
    }
    if any(len(row.video.captions) > 1 for row in used):
        more["choices"] = [row.video.captions or (("", 1.0),) for row in used]
    offsets = [0, *np.cumsum([row.frames for row in used]).tolist()]
    rates = [float(footage.fps)] * len(used)
    preparing.write_index(target, [row.video.caption for row in used], offsets, rates, more=more)
    return target


def _told(reasons: list[str]) -> str:
    """The first reasons, and how many more there are."""
    rest = f" and {len(reasons) - SHOWN} more, see {TABLE}" if len(reasons) > SHOWN else ""
    return "; ".join(reasons[:SHOWN]) + rest


def shortest(config: TrainingConfig) -> int:
    """Frames that a clip needs to be trained on at the smallest length and stride."""
    return (min((config.num_frames, *config.other_lengths)) - 1) * min(config.strides) + 1


def _encoded(videos: list[Video], target: Path, kind: TrainedModel, footage: Footage) -> Iterator[Encoded]:
    """Latents of every video, from its file where there is one; a few frames are in memory at a time."""
    encoder = kind.models.vae_fingerprint()
    (width, height), fps = footage.size, footage.fps
    move = f"-{footage.camera}-{longest(kind.config)}" if footage.camera else ""
    place = target / FILES / f"{kind.cache_name.strip()}{encoder}-{width}x{height}-{fps:g}fps{move}"
    place.mkdir(parents=True, exist_ok=True)
    sweep(place)
    made = 0
    for number, video in enumerate(videos, start=1):
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


def _checked(row: Encoded, needed: int, fps: float) -> Encoded:
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


def _write_table(path: Path, folder: Path, rows: list[Encoded]) -> None:
    """One line a clip: where it is, how long, and whether it is trained on."""
    text = io.StringIO(newline="")
    lines = csv.writer(text)
    lines.writerow(("file", "start", "frames", "trained on", "why not"))
    for row in rows:
        name = row.video.path.relative_to(folder).as_posix()
        lines.writerow((name, f"{row.video.start:g}", row.frames, "no" if row.why else "yes", row.why))
    with whole_file(path) as partial:
        partial.write_text(text.getvalue(), "utf-8")
