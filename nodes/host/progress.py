"""Progress of a clip: the host's progress bar, a moving preview, and the time left in words.

Shapes: latents (f c h w), chunks of frames (n h w 3) float 0..1.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import comfy.utils
from comfy.cli_args import LatentPreviewMethod, args
from comfy_execution.utils import get_executing_context
from torch import Tensor

from .preview import STRIP_FRAMES, AnimatedStrip, ClipPreview, Pace, pictures, thinned_out

PAUSE = 1.0  # seconds between two lines of text, and between two previews of decoded frames
Callback = Callable[[int, Tensor, Tensor, int], None]


class TimeLeft:
    """Words for the node that is running, once in PAUSE seconds; nothing for what is over before.

    `remarks` are sentences that stay behind them.
    """

    def __init__(self, remarks: Sequence[str] = ()) -> None:
        self.remarks = remarks
        self.started = self.said = time.monotonic()
        self.first: int | None = None

    def begin(self, done: int) -> None:
        """Leave steps that were done before this run out of the speed."""
        self.first = done if self.first is None else self.first

    def __call__(self, what: str, done: int, total: int) -> None:
        """Say what is being made, and how long the rest of it takes."""
        now = time.monotonic()
        if now - self.said > PAUSE or (done == total and self.said > self.started):
            self.said = now
            taken = now - self.started
            left = (total - done) * taken / max(1, done - (self.first or 0))
            line = f"{what}, {duration(left)} left" if done < total else f"{what}, {duration(taken)}"
            say(" ".join([f"{line}.", *self.remarks]) if self.remarks else line)


class SamplingProgress:
    """The steps of all clips that one node samples: `parts` of them, whose names `part_name` knows."""

    def __init__(self, parts: int = 1, part_name: Callable[[int], str] | None = None) -> None:
        self.parts, self.part_name = parts, part_name
        self.remarks: list[str] = []
        self.bar, self.pace = comfy.utils.ProgressBar(parts), Pace()
        self.time_left = TimeLeft(self.remarks)

    def remark(self, *sentences: str) -> None:
        """Tell the artist something of this run, each sentence once; it stays on the node."""
        new = [sentence for sentence in sentences if sentence not in self.remarks]
        self.remarks += new
        if new:
            say(" ".join(self.remarks))

    def callback(self, model: Any, fps: float, part: int = 0) -> Callback:
        """A sampler callback for one of the clips, which raises the host's interrupt."""
        preview = ClipPreview(model, fps, self.pace)

        def after_step(step: int, x0: Tensor, _x: Tensor, steps: int) -> None:
            done, total = part * steps + step + 1, self.parts * steps
            self.time_left.begin(part * steps)
            self.bar.update_absolute(done, total, preview(x0, at_once=done == total))
            name = f"step {step + 1} of {steps}"
            self.time_left(f"{self.part_name(part)}, {name}" if self.part_name else name, done, total)

        return after_step

    def beside(self, callback: Callback, model: Any, fps: float) -> Callback:
        """Ours in place of the host's, which shows the first frame alone.

        The host's runs last, as it keeps the clip.
        """
        ours = self.callback(model, fps)

        def after_step(step: int, x0: Tensor, x: Tensor, steps: int) -> None:
            if step + 1 == steps:
                callback(step, x0, x, steps)
            ours(step, x0, x, steps)

        return after_step


class FrameProgress:
    """Counts the frames of one clip; call it with each chunk. Raises the host's interrupt."""

    def __init__(self, num_frames: int, fps: float):
        self.total, self.fps, self.done = num_frames, fps, 0
        self.bar, self.time_left, self.pace = comfy.utils.ProgressBar(num_frames), TimeLeft(), Pace(PAUSE)
        self.pace.made(time.monotonic())
        self.has_preview = args.preview_method != LatentPreviewMethod.NoPreviews
        self.latest: deque[Tensor] = deque(maxlen=STRIP_FRAMES)

    def __call__(self, frames: Tensor) -> None:
        self.done += len(frames)
        preview = None
        if self.has_preview:
            self.latest.extend(thinned_out(frame[None]).clone() for frame in frames[-STRIP_FRAMES:])
            if self.latest and self.pace.is_due():
                started = time.monotonic()
                shown = [picture for frame in self.latest for picture in pictures(frame)]
                preview = ("PNG", AnimatedStrip(shown, self.fps, self.pace), None)
                self.pace.made(started)
        self.bar.update_absolute(self.done, self.total, preview)
        self.time_left(f"frame {self.done} of {self.total}", self.done, self.total)


def say(text: str) -> None:
    """Show a line of text in the node that is running.

    Outside of a running graph nobody is there to read it.
    """
    context, module = get_executing_context(), sys.modules.get("server")  # training runs without a server
    server = getattr(module.PromptServer, "instance", None) if module is not None else None
    if context is not None and server is not None:
        server.send_progress_text(text, context.node_id)


def duration(seconds: float) -> str:
    """A time in words: 42 s, 3 min 05 s, 2 h 10 min."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
