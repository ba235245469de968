"""Clips of a training in buckets: films of one shape and length together, and pictures of the folder.

Each bucket has an index of its own below the latents, which all share.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from .....temporal.curation.folder import (
    PICTURES,
    Video,
    find_pictures,
    video_paths,
    with_trigger,
)
from .....temporal.curation.table import TABLE as DATASET
from .....temporal.errors import IncompatibleModelError, InvalidInputError
from .....temporal.training.config import TrainingConfig
from .....temporal.training.data.buckets.sizes import Size, bucket_sizes, longest_run, nearest_size
from .....temporal.training.data.buckets.source import Bucket, ClipBuckets, Clips
from ..kinds import TrainedModel
from .clips import prepare_clips
from .encoding import Encoded, Footage, checked, encoded, shortest
from .sizes import KnownSizes
from .tables import TABLE, is_cache, open_clips, tell_of, used_and_told, write_clip_table, write_rows

logger = logging.getLogger(__name__)
FOLDER = "buckets"


@dataclass(frozen=True, order=True)
class Place:
    """A bucket by its size and lengths; pictures have buckets of their own."""

    size: Size
    lengths: tuple[int, ...]
    pictures: bool = False

    def __str__(self) -> str:
        kind = "pictures" if self.pictures else f"{' or '.join(map(str, self.lengths))} frames"
        return f"{self.size[0]}x{self.size[1]}, {kind}"

    @property
    def folder(self) -> str:
        """Name of the folder for its index."""
        kind = "pictures" if self.pictures else "-".join(map(str, self.lengths))
        return f"{self.size[0]}x{self.size[1]}-{kind}"


def prepare_data(footage: Footage, kind: TrainedModel) -> Clips:
    """Clips of a folder, encoded where they are not yet: of one size, or in buckets where these are wanted.

    Raises VideoLDMError for what the user can change; clips that cannot be used are listed in the table.
    """
    if not footage.buckets and not footage.images:
        return prepare_clips(footage, kind)
    check_mixture(footage, kind)
    pictures = _pictures(footage)  # a folder without them is refused before anything is encoded
    videos = footage.clips(kind.needs_captions, pictures=shortest(kind.config) == 1)
    films, stills = _placed(videos, footage, kind, False), _placed(pictures, footage, kind, True)
    found = [*films, *stills]
    write_clip_table(
        footage.place / TABLE,
        footage.folder,
        [(row, {"bucket": str(place) if place else ""}) for row, place in found],
    )
    tell_of([row for row, _ in films])
    if stills:
        _tell_of_pictures([row for row, _ in stills])
    groups: dict[Place, list[Encoded]] = {}
    for row, place in found:
        if place is not None:
            groups.setdefault(place, []).append(row)
    return ClipBuckets(
        tuple(_bucket(*group, footage, kind) for group in sorted(groups.items())), footage.images
    )


def check_mixture(footage: Footage, kind: TrainedModel) -> None:
    """Refuse buckets or pictures with what they do not go with, before anything is prepared.

    Raises InvalidInputError or IncompatibleModelError.
    """
    config, share = kind.config, footage.images
    if not kind.takes_sizes:
        raise IncompatibleModelError(
            "Buckets and images are for clips that are seen whole, but the SD x4 upscaler learns from "
            "patches of one size; leave --buckets and --images out."
        )
    if is_cache(footage):
        raise InvalidInputError(
            f"{footage.folder} is a prepared cache, whose clips have one size; for --buckets or --images "
            "give the folder of videos it was made from."
        )
    if not 0 <= share < 1:
        raise InvalidInputError(f"images is {share:g}; give a share of the steps of 0 or more, and below 1.")
    if share and footage.camera:
        raise InvalidInputError(
            f"images is {share:g}, but the pictures of the folder are already what the camera goes over; set "
            "images to 0."
        )
    if share and shortest(config) == 1:
        raise InvalidInputError(
            f"images is {share:g}, but clips of 1 frame are asked for, which pictures are already; set "
            "images to 0, or train on 2 frames and more."
        )
    if share and not config.patterns.get("none"):
        raise InvalidInputError(
            f"images is {share:g}, but some frames of every clip are given, and a picture has none to give; "
            "set images to 0, or let some clips have no known frames, e.g. none=0.5."
        )


def _pictures(footage: Footage) -> list[Video]:
    """Pictures that are clips of one frame; raises InvalidInputError without videos beside them."""
    folder = footage.folder
    if not footage.images:
        return []
    pictures = with_trigger(find_pictures(folder), footage.trigger)
    paths = [] if (folder / DATASET).is_file() else video_paths(folder, pictures=True)
    if paths and all(path.suffix.lower() in PICTURES for path in paths):
        raise InvalidInputError(
            f"The folder {folder} holds pictures and no videos, but images are mixed in between clips; add "
            "videos, or train on the pictures alone with clips of 1 frame."
        )
    return pictures


def _tell_of_pictures(rows: list[Encoded]) -> None:
    """Say how many pictures are shown; raises InvalidInputError where none is."""
    used, told = used_and_told(rows)
    if not used:
        raise InvalidInputError(
            f"None of {len(rows)} pictures can be trained on: {told}. Write captions for them, or set images "
            "to 0."
        )
    logger.info("%d of %d pictures are trained on%s", used, len(rows), f"; {told}" if told else "")


def _placed(
    videos: list[Video], footage: Footage, kind: TrainedModel, pictures: bool
) -> list[tuple[Encoded, Place | None]]:
    """Clips with their buckets, in their order; without one is what cannot be trained on."""
    sized = _with_sizes(videos, footage, kind)
    done: dict[int, Encoded] = {n: row for n, row in enumerate(sized) if isinstance(row, Encoded)}
    for size in sorted({size for size in sized if not isinstance(size, Encoded)}):
        numbers = [number for number, own in enumerate(sized) if own == size]
        rows = encoded([videos[number] for number in numbers], kind, replace(footage, size=size))
        done.update(zip(numbers, rows, strict=True))
    config = kind.config
    needed = 1 if pictures else shortest(config)
    made: list[tuple[Encoded, Place | None]] = []
    for number, size in enumerate(sized):
        row = checked(done[number], needed, footage.fps)
        if pictures and kind.needs_captions and not row.video.caption and not row.why:
            row = replace(row, why="has no caption")
        if row.why or isinstance(size, Encoded):
            made.append((row, None))
        else:
            lengths = (1,) if pictures else _lengths(row, config, footage.buckets)
            made.append((row, Place(size, lengths, pictures)))
    return made


def _lengths(row: Encoded, config: TrainingConfig, buckets: bool) -> tuple[int, ...]:
    """Lengths that a clip is drawn at: in buckets the longest that it has."""
    every = (config.num_frames, *config.other_lengths)
    longest = longest_run(row.frames, every, min(config.strides)) if buckets else None
    return every if longest is None else (longest,)


def _with_sizes(videos: list[Video], footage: Footage, kind: TrainedModel) -> list[Size | Encoded]:
    """The size that each clip is trained at, or why it is left out."""
    if not footage.buckets:
        return [footage.size] * len(videos)
    sizes, shown = bucket_sizes(footage.size, kind.multiple), KnownSizes(footage)
    made: list[Size | Encoded] = []
    for video in videos:
        try:
            made.append(nearest_size(shown(video.path), sizes))
        except InvalidInputError as error:
            made.append(Encoded(video, video.path, why=f"is left out ({error})"))
    shown.keep()
    return made


def _bucket(place: Place, rows: list[Encoded], footage: Footage, kind: TrainedModel) -> Bucket:
    """A bucket of clips that are encoded, and a line on it."""
    folder = footage.place / FOLDER / place.folder
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder, footage.place, footage, rows)
    few = kind.config.batch
    note = f", fewer than the {few} of a batch, which sees some more than once" if len(rows) < few else ""
    logger.info("bucket %s: %d clips%s", place, len(rows), note)
    return Bucket(open_clips(folder, kind), place.lengths, place.pictures)
