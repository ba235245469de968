"""Ctrl+C during a training: the step that runs is finished and kept before the program ends."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

logger = logging.getLogger(__name__)


@dataclass
class CtrlC:
    """A user's wish that a training stops."""

    pressed: bool = False


@contextmanager
def after_the_step() -> Iterator[CtrlC]:
    """Note the first Ctrl+C and leave it to the training to stop; the second one ends it at once.

    Raises KeyboardInterrupt at the end where it was pressed, and by then everything has to be kept. Outside
    of the main thread, which alone may listen to signals, nothing changes; nor where Ctrl+C is ignored, as
    shells have it for what they start in the background.
    """
    found, before = CtrlC(), signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before == signal.SIG_IGN:
        yield found
        return

    def note(_number: int, _frame: FrameType | None) -> None:
        found.pressed = True
        signal.signal(signal.SIGINT, before)
        logger.info("stopping after this step; press Ctrl+C again to end at once")

    signal.signal(signal.SIGINT, note)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)
    if found.pressed:
        raise KeyboardInterrupt
