"""A clip into a film on disk, frame by frame: decode, enlarge, encode."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import folder_paths
from comfy.cli_args import args
from comfy_api.latest import Input, InputImpl, io, ui

from ....temporal.errors import InvalidInputError
from ....temporal.video import Film, Format, Sound, check_film, format_named
from ....temporal.video.process import cannot_write
from ..progress import say
from .clips import Clip
from .estimate import check_it_fits, estimate, size
from .lazy_video import LazyVideo
from .writing import write

logger = logging.getLogger(__name__)

OPENS = (".mp4", ".webm", ".mov", ".mkv")  # as a film with a frame rate, by the host's Load Video
STAND_IN = Film("mp4 (H.264)", fps=0, quality=60)


@dataclass(frozen=True)
class FilmSettings:
    """How a film is written, and where."""

    format: str
    quality: int
    filename_prefix: str


@dataclass(frozen=True)
class Rendered:
    """A film on disk, what the node shows of it, and what it says."""

    path: Path
    shown: dict[str, Any]
    text: str


def render(
    clip: Clip, settings: FilmSettings, notes: Mapping[str, Any], audio: Mapping[str, Any] | None
) -> Rendered:
    """Write a clip into ComfyUI's output folder, one film per call.

    Raises InvalidInputError for what the format or the computer cannot hold, before anything is decoded, and OutputError
    when the disk gives up. After any error, an interrupt included, nothing is left.
    """
    format = format_named(settings.format)
    check_film(format, clip.width, clip.height, clip.fps, settings.quality, audio is not None)
    path, subfolder = target(settings.filename_prefix, format, clip)
    needs = estimate(clip, format, settings.quality, path.parent)
    check_it_fits(needs, clip, format, path.parent)
    what = f"{clip.num_frames} frames of {clip.width} x {clip.height} at {clip.fps:g} fps"
    announcement = f"{path.name}: {what} as {format.name}; {needs.text}"
    logger.info("Rendering %s.", announcement)
    say(announcement)
    sound = None if audio is None else Sound.of(audio, clip.num_frames / clip.fps)
    film = Film(settings.format, clip.fps, settings.quality, notes, sound)
    if format.plays:
        write(clip, {path: film})
        shown = ui.SavedResult(path.name, subfolder, io.FolderType.output)
    else:
        small = stand_in_path(clip)
        write(clip, {path: film, small: replace(STAND_IN, fps=clip.fps, sound=sound)}, small)
        shown = ui.SavedResult(small.name, "", io.FolderType.temp)
    text = f"{path.name}: {what} as {format.name}, {_size_on_disk(path)} at {path}"
    say(text)
    return Rendered(path, {**ui.PreviewVideo([shown]).as_dict(), "text": (text,)}, text)


def target(prefix: str, format: Format, clip: Clip) -> tuple[Path, str]:
    """Path of the next film of a name, numbered as the host's savers do, and its folder inside the output folder.

    Raises InvalidInputError for a name that leads out of the output folder, OutputError when the folder cannot be made.
    """
    output = Path(folder_paths.get_output_directory())
    folder = Path(os.path.abspath(output / os.path.dirname(os.path.normpath(prefix))))  # noqa: PTH100, PTH120
    if not folder.is_relative_to(os.path.abspath(output)):  # noqa: PTH100 (links inside the folder may lead out)
        raise InvalidInputError(
            f"The name {prefix!r} leads out of ComfyUI's output folder. Give a name or a path inside it, such as "
            "video/clip."
        )
    try:
        full, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            prefix, str(output), clip.width, clip.height
        )
    except OSError as error:
        raise cannot_write(folder, error.strerror) from None
    suffix = "" if format.is_sequence else format.suffix
    return Path(full) / f"{name}_{counter:05}_{suffix}", subfolder


def stand_in_path(clip: Clip) -> Path:
    """Where the small film that a browser plays goes."""
    full, name, counter, *_ = folder_paths.get_save_image_path(
        "VideoLDM", folder_paths.get_temp_directory(), clip.width, clip.height
    )
    Path(full).mkdir(parents=True, exist_ok=True)
    return Path(full) / f"{name}_{counter:05}_.mp4"


def as_video(film: Rendered, clip: Clip, audio: Mapping[str, Any] | None) -> Input.Video:
    """The host's VIDEO of a film: its file, where that can be opened as a video, else the clip made anew."""
    if film.path.suffix in OPENS:
        return InputImpl.VideoFromFile(str(film.path))
    return LazyVideo(clip, audio)


def saved_notes(prompt: Any, extra_pnginfo: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the host's savers keep in their files, empty when the user switched it off."""
    if args.disable_metadata:
        return {}
    return {**(extra_pnginfo or {}), **({} if prompt is None else {"prompt": prompt})}


def _size_on_disk(path: Path) -> str:
    files = path.iterdir() if path.is_dir() else [path]
    return size(sum(file.stat().st_size for file in files))
