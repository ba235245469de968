"""A part of a film as a clip to work on: frames, latents, sound. The rest of the film takes no memory.

Shapes: frames (n h w 3) float 0..1, latents (n c h w), waveform (1 channels samples).
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import folder_paths
import torch
from comfy_execution.graph_utils import ExecutionBlocker
from torch import Tensor

from .....temporal.errors import InvalidInputError
from .....temporal.video.fit import fit_into, frame_size
from .....temporal.video.reading import FILMS, FilmInfo, frames_of, probe, sound_of
from ...latents import FPS_KEY
from ...memory import check_frames_fit
from ...progress import say
from ..known_images import encode_images

RATE = 44100  # samples per second of the sound
NONE = "no film yet in ComfyUI's input folder"
NO_VAE = "Load Video Frames makes latents with a VAE; connect the VAE of the checkpoint to it."


@dataclass(frozen=True)
class Wishes:
    """The part of a film that is asked for.

    From `start` seconds on at most `frames` (0: all), at `fps` (0: the film's); `width` and `height` 0 are
    the film's own.
    """

    start: float
    frames: int
    fps: float
    width: int
    height: int
    fit: str


@dataclass(frozen=True, eq=False)
class FilmPart:
    """The part that was read: frames, frames per second, the sound beside them."""

    frames: Tensor
    fps: float
    audio: dict[str, Any] | None

    def latent(self, vae: Any) -> dict[str, Any] | ExecutionBlocker:
        """LATENT with the frame rate, frame by frame; without a VAE what stops the node that wants it."""
        if vae is None:
            return ExecutionBlocker(NO_VAE)
        factor = vae.spacial_compression_encode()
        size = self.frames.shape[1] // factor, self.frames.shape[2] // factor
        return {"samples": encode_images(vae, self.frames, size), FPS_KEY: self.fps}


def film_names() -> list[str]:
    """Films in the host's input folder, or where there is none, a line that says so."""
    found = Path(folder_paths.get_input_directory()).iterdir()
    return sorted(path.name for path in found if path.suffix.lower() in FILMS and path.is_file()) or [NONE]


def changed(file: str) -> float | str:
    """Fingerprint of a film in the input folder."""
    try:
        return _in_a_folder_of_the_host(file).stat().st_mtime
    except InvalidInputError:
        return ""


def read_footage(file: str, video: Any, wishes: Wishes) -> FilmPart:
    """The part of a film, by its name in the input folder, or of a VIDEO in its place.

    Raises InvalidInputError where there is no such film, it ends before the start, or memory is too small.
    """
    with _path_of(file, video) as (path, begin, limit):
        film = probe(path)
        length = min(limit, film.seconds - begin) if limit else film.seconds - begin
        fps = wishes.fps or film.fps
        if film.seconds and wishes.start >= length:
            raise InvalidInputError(
                f"The film is {length:.2f} s long, but start is {wishes.start:g} s. Choose an earlier start."
            )
        left = (length - wishes.start) if film.seconds else None
        seconds = (
            wishes.frames / fps if wishes.frames and (left is None or wishes.frames / fps < left) else left
        )
        frames = _frames(film, fps, begin + wishes.start, seconds, wishes)
        taken = len(frames) / fps
        audio = _heard(film, begin + wishes.start, taken) if film.sound else None
    height, width = frames.shape[1:3]
    say(f"{len(frames)} frames of {width} x {height} at {fps:g} fps, {taken:.2f} s.")
    return FilmPart(frames, fps, audio)


def _heard(film: FilmInfo, start: float, seconds: float) -> dict[str, Any] | None:
    """The host's AUDIO; None where the sound has ended before."""
    sound = torch.from_numpy(sound_of(film, start, seconds, RATE))
    return {"waveform": sound[None], "sample_rate": RATE} if sound.shape[1] else None


def _frames(film: FilmInfo, fps: float, start: float, seconds: float | None, wishes: Wishes) -> Tensor:
    size = frame_size((film.width, film.height), wishes.width, wishes.height)
    fit = fit_into((film.width, film.height), size, wishes.fit)
    count = _count(film, fps, seconds, wishes)
    check_frames_fit(count, size, 15 * size[0] * size[1])
    margin = 2 / fps  # a cap in seconds is rounded by a frame, the one in frames is exact
    reader = frames_of(film, fps, fit.scaled, start, None if seconds is None else seconds + margin)
    frames = []
    for picture in itertools.islice(reader, count):
        mm.throw_exception_if_processing_interrupted()
        frames.append(torch.from_numpy(fit(picture).copy()))
    reader.close()
    made = torch.empty((len(frames), *frames[0].shape))
    for target, frame in zip(made, frames, strict=True):
        torch.div(frame, 255, out=target)
    return made


def _count(film: FilmInfo, fps: float, seconds: float | None, wishes: Wishes) -> int:
    """Number of frames to read: those that were asked for, and no more than the film has."""
    if seconds is not None:
        there = max(1, round(seconds * fps))
        return min(wishes.frames or there, there)
    if not wishes.frames:
        raise InvalidInputError(
            f"{film.path.name} does not say how long it is, as films do that were recorded live. Set frames "
            "to as many as you need."
        )
    return wishes.frames


@contextmanager
def _path_of(file: str, video: Any) -> Iterator[tuple[Path, float, float]]:
    """Path of a film with the second at which it begins and its length, 0: to its end."""
    if video is None:
        yield _in_a_folder_of_the_host(file), 0.0, 0.0
        return
    trimmed = getattr(video, "get_active_trim_window", None)  # newer hosts
    begin, limit = trimmed() if trimmed else (0.0, 0.0)
    source = video.get_stream_source()
    if isinstance(source, str | Path):
        yield Path(source), begin, limit
        return
    temporary = Path(folder_paths.get_temp_directory())
    temporary.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="video_ldm_", dir=temporary) as folder:
        path = Path(folder) / "film.mp4"
        path.write_bytes(source.getvalue())
        yield path, begin, limit


def _in_a_folder_of_the_host(file: str) -> Path:
    """Path of a film that is named in a graph, which may come from elsewhere."""
    path = Path(folder_paths.get_annotated_filepath(file)).resolve()
    roots = (
        folder_paths.get_input_directory(),
        folder_paths.get_output_directory(),
        folder_paths.get_temp_directory(),
    )
    if not path.is_file() or not any(path.is_relative_to(Path(root).resolve()) for root in roots):
        raise InvalidInputError(
            f"There is no film {file!r} in ComfyUI's input folder. Choose another in file, or connect a "
            "video."
        )
    return path
