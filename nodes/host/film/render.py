"""A clip into a film on disk, frame by frame: decode, enlarge, encode."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import folder_paths
from comfy.cli_args import args
from comfy_api.latest import Input, InputImpl, io, ui

from ....temporal.claims import Claim, check_length, claim_new
from ....temporal.video import Film, Format, Sound, check_film, format_named
from ....temporal.video.process import cannot_write_film
from ....temporal.video.sound import sound_channels
from ..names import folder_inside_output
from ..progress import say
from .estimate import check_it_fits, film_needs, size_text
from .frame_stream import FrameStream
from .lazy_video import LazyVideo
from .writing import write_films

logger = logging.getLogger(__name__)

OPENS = (".mp4", ".webm", ".mov", ".mkv")  # as a film with a frame rate, by the host's Load Video
KEEP_IT = "png, exr, ProRes 4444, webm (VP9), FFV1 and webp"
STAND_IN = Film("mp4 (H.264)", fps=0, quality=60)


@dataclass(frozen=True)
class FilmSettings:
    """Format, name and place of a film that is written."""

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
    clip: FrameStream,
    settings: FilmSettings,
    notes: Mapping[str, Any],
    audio: Mapping[str, Any] | None,
    said: str = "",
) -> Rendered:
    """Write a clip into ComfyUI's output folder, one film per call. `said`: what the node says besides.

    Raises InvalidInputError for what the format or the computer cannot hold, before anything is decoded, and
    OutputError when the disk gives up. After any error, an interrupt included, nothing is left.
    """
    format = format_named(settings.format)
    sound = None if audio is None else Sound.of(audio, clip.num_frames / clip.fps)
    check_film(format, clip.width, clip.height, clip.fps, settings.quality, sound_channels(sound))
    series = series_of(settings.filename_prefix, format, clip)
    needs = film_needs(clip, format, settings.quality, series.folder)
    check_it_fits(needs, clip, format, series.folder)
    film = Film(settings.format, clip.fps, settings.quality, notes, sound)
    what = f"{clip.num_frames} frames of {clip.width} x {clip.height} at {clip.fps:g} fps"
    with ExitStack() as names:
        claim = names.enter_context(series.claim())
        announcement = f"{claim.path.name}: {what} as {format.name}; {needs.text}"
        logger.info("Rendering %s.", announcement)
        say(announcement)
        if format.plays:
            write_films(clip, {claim: film})
            shown = ui.SavedResult(claim.path.name, series.subfolder, io.FolderType.output)
        else:
            small = names.enter_context(stand_in(clip).claim())
            write_films(clip, {claim: film, small: _stand_in_film(clip, sound)}, small)
            shown = ui.SavedResult(small.path.name, "", io.FolderType.temp)
    path = claim.path
    text = f"{path.name}: {what} as {format.name}, {_size_on_disk(path)} at {path}"
    text = ". ".join(filter(None, [text, _said_of_transparency(clip, format), said]))
    say(text)
    return Rendered(path, {**ui.PreviewVideo([shown]).as_dict(), "text": (text,)}, text)


@dataclass(frozen=True)
class Series:
    """Numbered names in a folder, as the host's savers give them.

    `subfolder` is the folder inside the host's.
    """

    folder: Path
    name: str
    first: int
    suffix: str
    subfolder: str

    def claim(self) -> Claim:
        """The first name that is free. Raises OutputError when the disk takes nothing."""
        try:
            return claim_new(
                lambda number: self.folder / f"{self.name}_{number:05}_{self.suffix}", self.first
            )
        except OSError as error:
            raise cannot_write_film(self.folder, error.strerror or error) from None


def series_of(prefix: str, format: Format, clip: FrameStream) -> Series:
    """Names of the films of a prefix, inside the output folder.

    Raises InvalidInputError for a prefix that leads out of the output folder or is too long, OutputError when
    the folder cannot be made.
    """
    folder, name = os.path.split(os.path.normpath(prefix))
    inside = folder_inside_output(folder, prefix)
    suffix = "" if format.is_sequence else format.suffix
    for part in (inside / f"{name}_00000_{suffix}", inside, *inside.parents):
        check_length(part)
    try:
        full, name, counter, subfolder, _ = folder_paths.get_save_image_path(
            prefix, folder_paths.get_output_directory(), clip.width, clip.height
        )
    except OSError as error:
        raise cannot_write_film(inside, error.strerror) from None
    return Series(Path(full), name, counter, suffix, subfolder)


def stand_in(clip: FrameStream) -> Series:
    """Names of the small films that a browser plays."""
    full, name, counter, *_ = folder_paths.get_save_image_path(
        "VideoLDM", folder_paths.get_temp_directory(), clip.width, clip.height
    )
    return Series(Path(full), name, counter, ".mp4", "")


def _stand_in_film(clip: FrameStream, sound: Sound | None) -> Film:
    has_place = sound_channels(sound) in format_named(STAND_IN.format).channels
    return replace(STAND_IN, fps=clip.fps, sound=sound if has_place else None)


def _said_of_transparency(clip: FrameStream, format: Format) -> str:
    """Line on the node where transparency is lost."""
    if clip.transparency == "lost":
        return "Transparency is left out: enlarging does not know it"
    if clip.transparency == "has" and not format.holds_transparency:
        return f"Transparency is left out: {format.name} has none; {KEEP_IT} keep it"
    return ""


def as_video(film: Rendered, clip: FrameStream, audio: Mapping[str, Any] | None) -> Input.Video:
    """The host's VIDEO of a film: its file, where that can be opened as a video, else the clip made anew."""
    if film.path.suffix in OPENS:
        return InputImpl.VideoFromFile(str(film.path))
    return LazyVideo(clip, audio)


def saved_notes(prompt: Any, extra_pnginfo: Mapping[str, Any] | None) -> dict[str, Any]:
    """Notes that the host's savers keep in their files, empty when the user switched it off."""
    if args.disable_metadata:
        return {}
    return {**(extra_pnginfo or {}), **({} if prompt is None else {"prompt": prompt})}


def _size_on_disk(path: Path) -> str:
    files = path.iterdir() if path.is_dir() else [path]
    return size_text(sum(file.stat().st_size for file in files))
