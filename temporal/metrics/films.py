"""All numbers of one film that need no downloaded weights."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from ..errors import InvalidInputError
from ..libraries import opencv
from ..video.reading import fitted, frames_of, probe
from .flow import motion, warping_error
from .steadiness import drift, flicker, seam, smoothness

TITLES = {  # of the numbers of a film, and their units
    "motion": ("Motion", "diagonals a second"),
    "flicker": ("Flicker", "change of still places, of 255; less is better"),
    "warping_error": ("Warping error", "change along the motion, of 255; less is better"),
    "smoothness": ("Smoothness", "0 to 1; more is better"),
    "subject": ("Subject consistency", "cosine to the first and the last frame before; more is better"),
    "background": ("Background consistency", "the same with the other network"),
    "clipsim": ("CLIPSIM", "cosine of frames and caption; more is better"),
    "brightness_drift": ("Brightness drift", "end against start, of 255"),
    "colour_drift": ("Colour drift", "end against start, of 255"),
    "seam": ("Seam", "last to first frame, in usual changes; 1 in a loop"),
    "sharpness": ("Sharpness", "mean Laplacian, of 255"),
    "given": ("Distance to given frames", "of 255; less is better"),
    "text_area": ("Text", "share of the frame"),
}


@dataclass(frozen=True)
class FilmNumbers:
    """Numbers of a film; changes are of 255, see `flow.py` and `steadiness.py` for what each measures."""

    file: str
    frames: int
    fps: float
    width: int
    height: int
    motion: float
    warping_error: float
    flicker: float
    smoothness: float
    brightness_drift: float
    colour_drift: float
    seam: float
    sharpness: float
    text_area: float | None = None
    subject: float | None = None  # consistency by features of a picture network, see `consistency.py`
    background: float | None = None
    given: float | None = None  # distance to given frames
    clipsim: float | None = None  # cosine of its frames to its caption

    def to_json(self) -> dict[str, float | int | str | None]:
        """By name."""
        return asdict(self)


@dataclass(frozen=True)
class Look:
    """Size and length at which films are measured.

    Pixels of the shorter side, at most so many seconds of each, and whether text is looked for.
    """

    side: int = 256
    seconds: float = 10.0
    text: bool = False


def measure_film(path: Path, look: Look) -> FilmNumbers:
    """Numbers of a film on disk. Raises InvalidInputError when it cannot be read or has one frame."""
    film = probe(path)
    count = max(2, round(look.seconds * film.fps))
    frames = list(islice(frames_of(film, film.fps, fitted(film, look.side)), count))
    if len(frames) < 2:
        raise InvalidInputError(f"{path.name} has a single frame; give films of two frames or more.")
    return measure(np.stack(frames), film.fps, path.name, look.text)


def measure(frames: np.ndarray, fps: float, name: str = "", text: bool = False) -> FilmNumbers:
    """Numbers of frames (f h w 3) uint8, RGB, at least two."""
    gone = drift(frames)
    area = None
    if text:
        from .text_area import TextDetector

        detector = TextDetector()
        area = max(detector.area(frames[n]) for n in (0, len(frames) // 2, len(frames) - 1))
    return FilmNumbers(
        file=name,
        frames=len(frames),
        fps=fps,
        width=frames.shape[2],
        height=frames.shape[1],
        motion=motion(frames, fps).speed,
        warping_error=warping_error(frames),
        flicker=flicker(frames),
        smoothness=smoothness(frames),
        brightness_drift=gone.brightness,
        colour_drift=gone.colour,
        seam=seam(frames),
        sharpness=sharpness(frames),
        text_area=area,
    )


def sharpness(frames: np.ndarray) -> float:
    """Mean absolute Laplacian of brightness, of 255; falls where a film is blurred."""
    cv2 = opencv()

    grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in frames]
    return float(np.mean([np.abs(cv2.Laplacian(frame, cv2.CV_32F)).mean() for frame in grey]))
