"""Cuts and slow transitions of a film, found at several rates (Stable Video Diffusion, appendix C).

A hard cut is seen from frame to frame, a dissolve only from far apart: the same detector looks at every
frame, at four and at two frames a second. What only a slow look sees must also be a transition and no fast
motion: the frames between must be mixtures of both ends, or dark.

Shapes: a frame (h w 3) uint8, RGB, in the size of `SIZE`; small grey pictures (n p) with p pixels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import MissingLibraryError
from ..libraries import opencv

SIZE = (160, 90)  # width and height that frames are looked at in
CUT = 27.0  # change of hue, saturation and brightness, of 255, that is a cut: PySceneDetect's default
SLOW_RATES = (4.0, 2.0)  # frames per second of the slow looks
DISSOLVES = (0.5, 1.0, 2.0)  # lengths of dissolves that are looked for, in seconds
DARK = 12.0  # mean brightness, of 255, of a frame that is black
RETURN = 0.35  # part of a flash's change that may be left when it is over
LEAST_CHANGE = 8.0  # mean change, of 255, of a dissolve
LARGEST_STEP = 0.35  # from frame to frame of a dissolve, of the whole change
LEAST_BETWEEN = 4  # frames of a dissolve that show both shots
UNLIKE = 0.6  # correlation of frames that show something else
UNMIXED = 0.45  # part of the change that a mixture of both ends may leave unexplained
FLASH = 4  # frames between the cuts of a flash
LATE = 2  # frames after a cut when the detector tells it
TINY = (32, 18)  # width and height of the pictures that mixtures are judged by


@dataclass(frozen=True)
class Transition:
    """Frames `start` to `end` - 1 belong to neither shot.

    Both are equal for a hard cut before frame `start`.
    """

    start: int
    end: int


def find_cuts(frames: Iterable[np.ndarray], fps: float) -> tuple[list[Transition], int]:
    """Transitions of a film in order, and how many frames it has.

    Raises:
        MissingLibraryError: PySceneDetect is not installed.
    """
    finder = CutFinder(fps)
    for frame in frames:
        finder.add(frame)
    return finder.transitions(), finder.count


def shots(transitions: list[Transition], count: int) -> list[tuple[int, int]]:
    """The runs of frames (start, end) between transitions."""
    ends = [0, *(t.end for t in transitions)]
    starts = [*(t.start for t in transitions), count]
    return [(start, end) for start, end in zip(ends, starts, strict=True) if end > start]


class CutFinder:
    """Takes the frames of a film one by one and remembers the last seconds of it, whatever its length."""

    def __init__(self, fps: float) -> None:
        self.fps, self.count = fps, 0
        self.dark: list[int] = []
        self.hard: list[int] = []
        self.found: list[Transition] = []
        self.native = _detectors()[0]
        self.slow = [(max(1, round(fps / rate)), _detectors()[1]) for rate in SLOW_RATES]
        self.steps = sorted({max(2, round(fps * seconds)) for seconds in DISSOLVES})
        self.recent: deque[np.ndarray] = deque(maxlen=max(*self.steps, 3 * FLASH + LATE) + 2)

    def add(self, frame: np.ndarray) -> None:
        """Look at the next frame."""
        number = self.count
        self.count += 1
        self.recent.append(_tiny(frame))
        if frame.mean() < DARK:
            self.dark.append(number)
        self.hard += _cuts_at(self.native, number, frame)
        self._drop_flash(number)
        for step, detector in self.slow:
            if number % step == 0 and _cuts_at(detector, number // step, frame):
                self._judge(step)
        if number and number % max(1, round(self.fps / SLOW_RATES[0])) == 0:
            for step in self.steps:
                self._judge(step)

    def transitions(self) -> list[Transition]:
        """All that was found, in order, overlapping ones as one."""
        slow = _merged([*self.found, *runs_of(self.dark)])
        inside = {n for t in slow for n in range(t.start - FLASH, t.end + FLASH + 1)}
        return _merged([*slow, *(Transition(number, number) for number in self.hard if number not in inside)])

    def _drop_flash(self, number: int) -> None:
        """Forget the last cuts where the frames before and after them differ far less than those between."""
        group = [cut for cut in self.hard if number - cut <= 2 * FLASH + LATE]
        if not group or number != group[-1] + FLASH + LATE or len(self.recent) < number - group[0] + 2:
            return
        before, inside, after = (self.recent[n - number - 1] for n in (group[0] - 1, group[0], number))
        if np.abs(after - before).mean() < RETURN * np.abs(inside - before).mean():
            self.hard = self.hard[: -len(group)]

    def _judge(self, step: int) -> None:
        """Note the last `step` frames as a transition where they fade from one picture to another."""
        if len(self.recent) <= step:
            return
        run = np.stack(list(self.recent)[-step - 1 :])
        if _correlation(run[0], run[-1]) < UNLIKE and (mixed := mixture(run)) is not None:
            first = self.count - step - 1
            self.found.append(Transition(first + mixed.start, first + mixed.end))


def mixture(run: np.ndarray) -> Transition | None:
    """The frames of a run of pictures (n p) that fade from its first to its last.

    Each a mixture of both, in steady steps.

    Motion is no mixture: what lies between two places is seen at neither end, and its contrast stays, while
    two pictures on top of each other have less of it. A hard cut is none either, as nothing lies between.
    """
    change = run[-1] - run[0]
    norm = float(change @ change)
    if norm < len(change) * LEAST_CHANGE**2:
        return None
    share = (run - run[0]) @ change / norm  # (n,) from 0 to 1
    left = run - run[0] - share[:, None] * change
    unexplained = np.sqrt((left**2).sum(axis=1) / norm)
    between = np.flatnonzero((share > 0.1) & (share < 0.9))
    steps = np.diff(share)
    if len(between) < LEAST_BETWEEN or steps.min() < -0.1 or steps.max() > LARGEST_STEP:
        return None
    if np.quantile(unexplained[between], 0.8) >= UNMIXED or not _loses_contrast(run, share, between):
        return None
    return Transition(int(between[0]) - 1, int(between[-1]) + 2)


def _loses_contrast(run: np.ndarray, share: np.ndarray, between: np.ndarray) -> bool:
    """True if the variance of the pictures in between falls at least half as far as that of mixtures does."""
    one, other, part = run[0] - run[0].mean(), run[-1] - run[-1].mean(), share[between]
    own = [float((picture**2).mean()) for picture in (one, other)]
    both = float((one * other).mean())
    steady = (1 - part) * own[0] + part * own[1]
    mixed = (1 - part) ** 2 * own[0] + part**2 * own[1] + 2 * part * (1 - part) * both
    return bool((steady - run[between].var(axis=1)).sum() > 0.5 * (steady - mixed).sum())


def _detectors() -> tuple[Any, Any]:
    """PySceneDetect's two: one that wants a lone peak of change, and one that compares with a threshold."""
    try:
        from scenedetect.detectors import (  # pyright: ignore[reportMissingImports] optional
            AdaptiveDetector,
            ContentDetector,
        )
    except ImportError:
        raise MissingLibraryError(
            "Finding cuts needs PySceneDetect, which is not installed; run pip install "
            "scenedetect-headless, or leave the stage out with --skip cuts."
        ) from None
    return AdaptiveDetector(min_scene_len=0, min_content_val=CUT), ContentDetector(CUT, min_scene_len=0)


def _cuts_at(detector: Any, number: int, frame: np.ndarray) -> list[int]:
    """Numbers of the frames before which a detector has now found a cut."""
    from scenedetect import FrameTimecode  # pyright: ignore[reportMissingImports] optional

    found = detector.process_frame(FrameTimecode(number, 1.0), np.ascontiguousarray(frame[..., ::-1]))
    return [timecode.frame_num for timecode in found]


def runs_of(numbers: list[int]) -> list[Transition]:
    """Runs of consecutive frames."""
    runs: list[Transition] = []
    for number in numbers:
        if runs and number == runs[-1].end:
            runs[-1] = Transition(runs[-1].start, number + 1)
        else:
            runs.append(Transition(number, number + 1))
    return runs


def _merged(transitions: list[Transition]) -> list[Transition]:
    """In order, those that touch as one."""
    merged: list[Transition] = []
    for found in sorted(transitions, key=lambda t: (t.start, t.end)):
        if merged and found.start <= merged[-1].end:
            merged[-1] = Transition(merged[-1].start, max(merged[-1].end, found.end))
        else:
            merged.append(found)
    return merged


def _tiny(frame: np.ndarray) -> np.ndarray:
    """A frame as a small grey picture (p,)."""
    cv2 = opencv()
    return cv2.resize(frame, TINY, interpolation=cv2.INTER_AREA).mean(axis=2).reshape(-1).astype(np.float32)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation of two pictures (p,); 1 for two that are flat."""
    a, b = one - one.mean(), other - other.mean()
    norm = float(np.sqrt((a @ a) * (b @ b)))
    return 1.0 if norm < 1e-6 else float(a @ b) / norm
