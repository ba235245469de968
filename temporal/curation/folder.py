"""A folder of videos with captions, or a data set of clips out of films, read through ffmpeg.

Shapes: frames (f h w 3) float 0..1.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidInputError
from .table import TABLE, read_table

SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif"}
PICTURES = {".png", ".jpg", ".jpeg", ".webp"}  # clips of one frame
CHUNK = 32  # frames read together
METADATA = "metadata.jsonl"


Captions = tuple[tuple[str, float], ...]  # texts, and how often each is read


@dataclass(frozen=True)
class Video:
    """A file, or `seconds` of it from `start` on, and what it shows."""

    path: Path
    captions: Captions = ()
    start: float = 0.0
    seconds: float | None = None

    @property
    def caption(self) -> str:
        """The first caption, empty where there is none."""
        return self.captions[0][0] if self.captions else ""


def video_paths(folder: Path, pictures: bool = False) -> list[Path]:
    """All videos of a folder and of those inside it, by name, and pictures where they are wanted.

    Raises InvalidInputError when there are none.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"There is no folder {folder}; give a folder of videos.")
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES | PICTURES]
    files = [path for path in files if not _is_ours(path.relative_to(folder))]
    paths = [path for path in files if pictures or path.suffix.lower() in SUFFIXES]
    if not paths and files:
        raise InvalidInputError(
            f"The folder {folder} holds pictures ({len(files)}) and no videos; give clips, or set camera to "
            "the move that these pictures are to teach."
        )
    if not paths:
        raise InvalidInputError(f"The folder {folder} holds no videos ({', '.join(sorted(SUFFIXES))}).")
    return paths


def find_videos(folder: Path, needs_captions: bool = True, pictures: bool = False) -> list[Video]:
    """All videos of a folder with their captions, which may be empty where they are not needed.

    A data set (`dataset.jsonl`, see temporal/curation) gives the clips that are kept.

    Raises InvalidInputError when there are no videos, or a caption that is needed is missing.
    """
    if (folder / TABLE).is_file():
        return _clips_of_table(folder, needs_captions)
    paths = video_paths(folder, pictures)
    captions = dict(zip(paths, captions_of(folder, paths), strict=True))
    missing = [path.name for path, texts in captions.items() if not texts]
    if missing and needs_captions:
        raise InvalidInputError(
            f"{len(missing)} of {len(paths)} videos have no caption ({', '.join(missing[:3])}); write each "
            "into a .txt file of the same name, or list them in metadata.jsonl."
        )
    return [Video(path, texts) for path, texts in captions.items()]


def with_trigger(videos: list[Video], trigger: str) -> list[Video]:
    """Videos with words in front of every caption; a video without one is then captioned by them alone."""
    if not trigger:
        return videos
    return [
        replace(
            video,
            captions=tuple((f"{trigger}, {text}" if text else trigger, share) for text, share in texts),
        )
        for video in videos
        for texts in [video.captions or (("", 1.0),)]
    ]


def find_pictures(folder: Path) -> list[Video]:
    """All pictures of a folder and of those inside it, with captions where they have some.

    Raises InvalidInputError when there are none.
    """
    if not folder.is_dir():
        raise InvalidInputError(f"There is no folder {folder}; give a folder of pictures.")
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PICTURES]
    paths = [path for path in paths if not _is_ours(path.relative_to(folder))]
    if not paths:
        raise InvalidInputError(f"The folder {folder} holds no pictures ({', '.join(sorted(PICTURES))}).")
    return [Video(path, texts) for path, texts in zip(paths, captions_of(folder, paths), strict=True)]


def read_picture(path: Path) -> Tensor:
    """A picture (h w 3) in 0..1, turned as its camera was held.

    Raises InvalidInputError when it cannot be read.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            pixels = np.array(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        raise InvalidInputError(f"{path} cannot be read as a picture; remove or replace it.") from None
    return torch.from_numpy(pixels).float() / 255


def _clips_of_table(folder: Path, needs_captions: bool) -> list[Video]:
    rows = [row for row in read_table(folder) if row.kept]
    if not rows:
        raise InvalidInputError(
            f"{folder / TABLE} keeps no clips; lower its thresholds, see its report.html."
        )
    bare = [row.key for row in rows if not row.captions]
    if bare and needs_captions:
        raise InvalidInputError(
            f"{len(bare)} of {len(rows)} clips of {folder / TABLE} have no caption; make them with "
            "--caption-command or --caption-server of python -m video_ldm.curation."
        )
    return [
        Video(
            folder / row.file,
            tuple((caption.text, float(caption.weight)) for caption in row.captions if caption.weight > 0),
            row.start,
            row.seconds,
        )
        for row in rows
    ]


def read_frames(video: Video, fps: float, size: tuple[int, int]) -> Tensor:
    """All frames of a video at a frame rate, as `frame_chunks` has them."""
    return torch.cat(list(frame_chunks(video, fps, size)))


def frame_chunks(video: Video, fps: float, size: tuple[int, int], chunk: int = CHUNK) -> Iterator[Tensor]:
    """Frames at a frame rate, some at a time, scaled to cover `size` (width, height) and cropped.

    Raises InvalidInputError when the file cannot be decoded.
    """
    import imageio_ffmpeg

    width, height = size
    scale = f"scale={width}:{height}:force_original_aspect_ratio=increase:flags=area,crop={width}:{height}"
    still = video.path.suffix.lower() in PICTURES
    filters = ["-vf", scale if still else f"fps={fps},{scale}"]
    place = ["-ss", f"{video.start:.3f}"] if video.start else []
    length = [] if video.seconds is None else ["-t", f"{video.seconds:.3f}"]
    reader = imageio_ffmpeg.read_frames(
        str(video.path), pix_fmt="rgb24", input_params=place, output_params=[*length, *filters]
    )
    count = 0
    try:
        next(reader)  # what ffmpeg says of the file
        while frames := list(itertools.islice(reader, chunk)):
            count += len(frames)
            pixels = np.stack([np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in frames])
            yield torch.from_numpy(pixels).float() / 255
    except (OSError, StopIteration, ValueError):
        raise _no_video(video) from None
    finally:
        reader.close()
    if not count:
        raise _no_video(video)


def _no_video(video: Video) -> InvalidInputError:
    return InvalidInputError(f"{video.path} cannot be decoded as a video; remove or replace it.")


def _is_ours(path: Path) -> bool:
    """True for a path in a folder that training makes, or in a hidden one."""
    return any(part.startswith((".", "video_ldm_")) for part in path.parts)


def captions_of(folder: Path, paths: Sequence[Path]) -> list[Captions]:
    """Captions of files of a folder: a file's own .txt, else its line of the metadata; empty for none.

    Raises InvalidInputError for a caption that is no text.
    """
    return [_captions(path, row) for path, row in zip(paths, metadata(folder, paths), strict=True)]


def metadata(folder: Path, paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Line of `metadata.jsonl` on each file, from its own folder or the whole one; empty where there is none.

    `text` is what `Video.captions` holds. Raises InvalidInputError for a line that says nothing.
    """
    tables = {place: _table(place) for place in {folder, *(path.parent for path in paths)}}
    beside = [tables[path.parent].get(path.name) for path in paths]
    return [
        row
        or tables[folder].get(path.relative_to(folder).as_posix() if path.is_relative_to(folder) else "", {})
        for path, row in zip(paths, beside, strict=True)
    ]


def _table(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / METADATA
    if not path.is_file():
        return {}
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
        return {row["file_name"]: {**row, "text": _texts(_said(row))} for row in rows}
    except (ValueError, KeyError, TypeError):
        raise InvalidInputError(
            f'{path} must hold one {{"file_name": ..., "text": ...}} per line; correct it or remove it.'
        ) from None


def _said(row: dict[str, Any]) -> str | list[str]:
    """Text of a line; an orbit, which has an elevation, needs none."""
    return row.get("text", []) if "elevation" in row else row["text"]


def _texts(given: str | list[str]) -> Captions:
    """One text, or several that are read as often as each other."""
    texts = [given] if isinstance(given, str) else given
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(given)
    return tuple((text.strip(), 1.0) for text in texts)


def _captions(path: Path, said: dict[str, Any]) -> Captions:
    """Captions of a file: its own text file, else its line of the metadata."""
    text = path.with_suffix(".txt")
    if not text.is_file():
        return said.get("text", ())
    try:
        return ((text.read_text("utf-8-sig").strip(), 1.0),)
    except UnicodeDecodeError:
        raise InvalidInputError(
            f"The caption {text} is not written in UTF-8; save it again in that encoding."
        ) from None
