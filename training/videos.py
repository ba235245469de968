"""A folder of videos with captions, or a data set of clips out of films, read through ffmpeg.

Shapes: frames (f h w 3) float 0..1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..temporal.curation.table import TABLE, read_table
from ..temporal.errors import InvalidInputError

SUFFIXES = {".mp4", ".mov", ".mkv", ".webm", ".avi", ".gif"}


@dataclass(frozen=True)
class Video:
    """A file, or `seconds` of it from `start` on, and what it shows."""

    path: Path
    caption: str
    start: float = 0.0
    seconds: float | None = None


def video_paths(folder: Path) -> list[Path]:
    """All videos of a folder, by name; raises InvalidInputError when there are none."""
    if not folder.is_dir():
        raise InvalidInputError(f"There is no folder {folder}; give a folder of videos.")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise InvalidInputError(f"The folder {folder} holds no videos ({', '.join(sorted(SUFFIXES))}).")
    return paths


def find_videos(folder: Path, needs_captions: bool = True) -> list[Video]:
    """All videos of a folder with their captions, which may be empty where they are not needed.

    Of a data set (`dataset.jsonl`, see temporal/curation) the clips that are kept.

    Raises InvalidInputError when there are no videos, or a caption that is needed is missing.
    """
    if (folder / TABLE).is_file():
        return _clips_of_table(folder, needs_captions)
    paths = video_paths(folder)
    table = _metadata(folder)
    captions = {path: _caption(path, table) for path in paths}
    missing = [path.name for path, caption in captions.items() if caption is None]
    if missing and needs_captions:
        raise InvalidInputError(
            f"{len(missing)} of {len(paths)} videos have no caption ({', '.join(missing[:3])}); write each "
            "into a .txt file of the same name, or list them in metadata.jsonl."
        )
    return [Video(path, caption or "") for path, caption in captions.items()]


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
        Video(folder / row.file, row.captions[0].text if row.captions else "", row.start, row.seconds)
        for row in rows
    ]


def read_frames(
    path: Path, fps: float, size: tuple[int, int], start: float = 0.0, seconds: float | None = None
) -> Tensor:
    """Frames at a frame rate, scaled to cover `size` (width, height) and cropped to its middle.

    From `start` on for `seconds`.

    Raises InvalidInputError when the file cannot be decoded.
    """
    import imageio_ffmpeg

    width, height = size
    scale = f"scale={width}:{height}:force_original_aspect_ratio=increase:flags=area,crop={width}:{height}"
    filters = ["-vf", f"fps={fps},{scale}"]
    place = ["-ss", f"{start:.3f}"] if start else []
    length = [] if seconds is None else ["-t", f"{seconds:.3f}"]
    reader = imageio_ffmpeg.read_frames(
        str(path), pix_fmt="rgb24", input_params=place, output_params=[*length, *filters]
    )
    try:
        next(reader)  # what ffmpeg says of the file
        frames = [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
        pixels = np.stack(frames)
    except (OSError, StopIteration, ValueError):
        raise InvalidInputError(f"{path} cannot be decoded as a video; remove or replace it.") from None
    finally:
        reader.close()
    return torch.from_numpy(pixels).float() / 255


def _metadata(folder: Path) -> dict[str, str]:
    path = folder / "metadata.jsonl"
    if not path.is_file():
        return {}
    try:
        rows = [json.loads(line) for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
        return {row["file_name"]: row["text"] for row in rows}
    except (ValueError, KeyError, TypeError):
        raise InvalidInputError(
            f'{path} must hold one {{"file_name": ..., "text": ...}} per line; correct it or remove it.'
        ) from None


def _caption(path: Path, table: dict[str, str]) -> str | None:
    text = path.with_suffix(".txt")
    if not text.is_file():
        return table.get(path.name)
    try:
        return text.read_text("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise InvalidInputError(
            f"The caption {text} is not written in UTF-8; save it again in that encoding."
        ) from None


def long_enough(
    videos: list[Video], fps: float, size: tuple[int, int], frames: int
) -> Iterator[tuple[Tensor, Video]]:
    """Frames of each video; raises InvalidInputError for one with fewer frames than asked for."""
    for video in videos:
        pixels = read_frames(video.path, fps, size, video.start, video.seconds)
        if len(pixels) < frames:
            raise InvalidInputError(
                f"{video.path.name} has {len(pixels)} frames at {fps:g} frames per second, but --frames "
                f"and --strides need {frames}; use longer videos, a higher --fps or fewer --frames."
            )
        yield pixels, video
