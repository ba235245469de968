"""What all trainings have in common: steps, one after the other, with a line about them now and then."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, TypeVar

logger = logging.getLogger(__name__)

LOG_SECONDS = 15.0
R = TypeVar("R", bound="Run")


class Run:
    """A training that has come to `step` of `config.steps`, with the loss of every step so far."""

    config: Any
    step: int = 0
    losses: list[float]
    finished: bool = False  # set by who looks on, where there is nothing more to learn

    def train_step(self) -> float:
        """Do one step; returns the loss."""
        raise NotImplementedError

    def run(self: R, until: int | None = None, after_step: Callable[[R], None] | None = None) -> None:
        """Train up to step `until` (default: all); `after_step` is called after each one."""
        until = self.config.steps if until is None else min(until, self.config.steps)
        begin, first = time.monotonic(), self.step
        logged = begin
        while self.step < until and not self.finished:
            self.losses.append(self.train_step())
            self.step += 1
            now = time.monotonic()
            if now - logged > LOG_SECONDS or self.step == until:
                self._log((now - begin) / (self.step - first))
                logged = now
            if after_step is not None:
                after_step(self)

    def _log(self, seconds: float) -> None:
        recent = self.losses[-50:]
        logger.info(
            "step %d of %d, loss %.4f, %.2f s per step, %s left",
            self.step,
            self.config.steps,
            sum(recent) / len(recent),
            seconds,
            time.strftime("%H:%M:%S", time.gmtime(seconds * (self.config.steps - self.step))),
        )
