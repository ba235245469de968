"""How far a film is: the host's progress bar, a moving preview, and the time left in words.

Shapes: chunks of frames (n h w 3) float 0..1.
"""

from __future__ import annotations

import sys
import time
from collections import deque

import comfy.utils
from comfy.cli_args import LatentPreviewMethod, args
from comfy_execution.utils import get_executing_context
from PIL import Image
from torch import Tensor

from .preview import STRIP_FRAMES, AnimatedStrip, thumbnails

PAUSE = 1.0  # seconds between two previews


class FilmProgress:
    """Counts the frames of one film; call it with each chunk. Raises the host's interrupt."""

    def __init__(self, num_frames: int, fps: float):
        self.total, self.fps, self.done = num_frames, fps, 0
        self.bar = comfy.utils.ProgressBar(num_frames)
        self.started = self.shown = time.monotonic()
        self.has_preview = args.preview_method != LatentPreviewMethod.NoPreviews
        self.latest: deque[Image.Image] = deque(maxlen=STRIP_FRAMES)

    def __call__(self, frames: Tensor) -> None:
        self.done += len(frames)
        now, preview = time.monotonic(), None
        if self.has_preview:
            self.latest.extend(thumbnails(frames[-STRIP_FRAMES:]))
        if now - self.shown > PAUSE:
            self.shown = now
            say(f"frame {self.done} of {self.total}, {self._left(now)} left")
            if self.latest:
                preview = ("PNG", AnimatedStrip(list(self.latest), self.fps), None)
        self.bar.update_absolute(self.done, self.total, preview)

    def _left(self, now: float) -> str:
        return duration((self.total - self.done) * (now - self.started) / self.done)


def say(text: str) -> None:
    """Show a line of text in the node that is running; outside of a running graph nobody is there to read it."""
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
