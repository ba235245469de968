"""A training run inside a graph: with a progress bar, stopped by an interrupt, gone on with afterwards.

Stopped, a run keeps what it has learned: its file is written, and the graph goes on with it.

Shapes: images (f h w 3) in 0..1.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import comfy.model_management as mm
import comfy.utils
import folder_paths
import numpy as np
import torch
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ....temporal.training import checkpoint
from ....temporal.training.data.frames import FrameStore
from ....temporal.training.report import curve_picture
from ....temporal.weights.whole_file import whole_file
from ..files import new_path, write_new, written_line
from ..progress import TimeLeft

logger = logging.getLogger(__name__)
SAVE_EVERY = 200
STOPPED = ".stopped"  # in the place of .pt: a file that is written anew by every stop
CURVE_SECONDS, CURVE_SIDE = 3.0, 512  # between two curves; longest side in pixels
SETTINGS = "settings"  # under which a state keeps what it was made with


class AnyTrainer(Protocol):
    """Trainer that goes step by step and can be stopped after each."""

    step: int
    config: Any
    losses: list[float]

    def run(self, *, after_step: Any) -> None:
        """Train to the end."""

    def state_dict(self) -> dict[str, Any]:
        """Everything a resumed run needs."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a saved run."""


def state_path(name: str) -> Path:
    """Path of the state that an interrupted run of a name leaves."""
    return Path(folder_paths.get_output_directory()) / "video_ldm_training" / f"{name}.state.pt"


def stops(folder: str, filename: str, part: str = "") -> str:
    """Fingerprint of the stopped runs for a file.

    The host keeps what a node made until this changes, and a run that was stopped is to be gone on with.
    """
    try:
        mark = state_path(new_path(folder, filename).stem + part).with_suffix(STOPPED)
        return str(mark.stat().st_mtime_ns)
    except (InvalidInputError, OSError):
        return ""


def run_to_file(
    training: AnyTrainer,
    state: Path,
    settings: str,
    resume: bool,
    path: Path,
    write: Callable[[Path], None],
) -> tuple[Path, str]:
    """Train to the end or until stopped, and let `write` make the file of what was learned.

    The file, and a line about it. The state is left behind where the run was stopped.
    """
    whole = run(training, state, settings, resume)
    made = write_new(path, write)
    line = written_line(made, path)
    if whole:
        state.unlink()
        return made, line
    steps = training.config.steps
    return made, f"{line}; stopped at step {training.step} of {steps}, queue again to go on from there"


def run(training: AnyTrainer, state: Path, settings: str, resume: bool) -> bool:
    """Train to the end; False where an interrupt stopped it after a step or more.

    When stopped, the state is left behind, and `resume` goes on from one of the same settings.
    """
    if resume and state.is_file():
        _go_on(training, state, settings)
    steps = training.config.steps
    progress, time_left, curve = comfy.utils.ProgressBar(steps), TimeLeft(), LiveCurve()
    time_left.begin(training.step)

    def save() -> None:
        checkpoint.save_state(state, {**training.state_dict(), SETTINGS: settings})

    def after_step(training: AnyTrainer) -> None:
        if training.step % SAVE_EVERY == 0:
            save()
        progress.update_absolute(training.step, steps, curve(training.losses))
        time_left(f"step {training.step} of {steps}", training.step, steps)
        mm.throw_exception_if_processing_interrupted()

    try:
        training.run(after_step=after_step)
    except mm.InterruptProcessingException:
        if not training.step:
            raise
        with whole_file(state.with_suffix(STOPPED)) as mark:
            mark.write_text(f"step {training.step}\n", "utf-8")
        return False
    finally:
        if training.step:
            save()
    return True


class LiveCurve:
    """The curve of losses as a preview on the node, drawn anew every few seconds."""

    def __init__(self) -> None:
        self.drawn = time.monotonic()

    def __call__(self, losses: Sequence[float]) -> tuple[str, Any, int] | None:
        """A preview as the host takes it; None where the last one is still new."""
        if time.monotonic() - self.drawn < CURVE_SECONDS or len(losses) < 2:
            return None
        self.drawn = time.monotonic()
        return "JPEG", curve_picture(losses), CURVE_SIDE


def _go_on(training: AnyTrainer, path: Path, settings: str) -> None:
    """Take over a saved run of the same settings; others are left alone."""
    state = checkpoint.load_state(path)
    if state.get(SETTINGS) == settings:
        checkpoint.take_over(training, state, path)
        logger.info("resumed at step %d", training.step)


def frame_store(images: Tensor, clip_length: int) -> FrameStore:
    """Images as clips of `clip_length` frames, one after the other; 0: they are one clip.

    Raises InvalidInputError when the images are no whole number of clips.
    """
    count, length = len(images), clip_length or len(images)
    if count % length:
        raise InvalidInputError(
            f"{count} images are no whole number of clips of {length} frames; connect a multiple of "
            f"{length} images, or change clip_length."
        )
    pixels = (255 * images[..., :3].clamp(0, 1)).round().to(torch.uint8).cpu().numpy()
    return FrameStore(pixels, np.arange(0, count + 1, length))
