"""One owner of the optimiser step.

Learning rate, loss, clipped gradients, step, average, with a line now and then.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from ..errors import IncompatibleModelError
from .ema import ExponentialMovingAverage
from .engine import Engine
from .memory.levels import Level, take_over_optimiser
from .memory.main_memory import InMainMemory, Weights

if TYPE_CHECKING:
    from .memory.shares import Shares

logger = logging.getLogger(__name__)

LOG_SECONDS = 15.0
R = TypeVar("R", bound="Trainer")


def computing_in(precision: str, device: str) -> torch.autocast:
    """Compute in bfloat16 where a training asks for "bf16"; weights and their updates stay in float32."""
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bf16")


class Trainer:
    """A training that has come to `step` of `config.steps`, with the loss of every step so far.

    Subclasses say what trains (`averaged`, `clipped`), how fast (`rate`) and towards what (`backward`).
    Parameter groups with a `scale` train that many times as fast.
    """

    config: Any
    optimizer: torch.optim.Optimizer
    average: ExponentialMovingAverage
    device: str = "cpu"
    step: int = 0
    gradient: float = 0.0  # length of the last one, before it was clipped
    losses: list[float]
    engine = Engine()
    copies: InMainMemory | None = None  # of what learns, where the optimiser works in main memory
    shares: Shares | None = None  # of what learns, where every process keeps one
    halves: bool = True  # may weights that learn in main memory be computed with in bfloat16
    finished: bool = False  # set by who looks on, where there is nothing more to learn

    def backward(self) -> float:
        """Compute the gradients of this step and return its loss."""
        raise NotImplementedError

    @property
    def averaged(self) -> nn.Module:
        """Module whose trained weights are averaged."""
        raise NotImplementedError

    @property
    def weights(self) -> Weights:
        """Weights that learn, where they do: those of the module, a share, or copies in main memory."""
        return self.copies or self.shares or self.averaged

    @property
    def clipped(self) -> Iterable[nn.Parameter]:
        """Weights whose gradients are clipped together."""
        return self.weights.parameters()

    def learn_at(self, level: Level) -> None:
        """Put what learns, its optimiser and its average where a level of memory says.

        Of several processes that share it out, each keeps its part.
        """
        config = self.config
        if self.engine.shards:
            from .memory.shares import Shares  # which loads PyTorch's compiler

            self.shares = Shares(self.averaged, self.engine, self.device, config.precision)
        if level.optimiser_on_cpu:
            self.copies = InMainMemory(self.averaged, self.halves and config.precision == "bf16")
        groups = parameter_groups(self.weights, config.weight_decay)
        self.optimizer = level.optimiser(groups, config.learning_rate)
        self.average = ExponentialMovingAverage(self.weights, config.ema, level.average_on_cpu)

    def learned(self) -> dict[str, Any]:
        """The part of a state that every training has: what was learned, and by what."""
        made = {
            "step": self.step,
            "losses": self.losses,
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict(),
        }
        return made if self.shares is None else self.shares.whole(made, self.optimizer)

    def take_over(self, state: dict[str, Any]) -> None:
        """The inverse of `learned`; raises IncompatibleModelError for an optimiser of another kind."""
        if self.shares is not None:
            state = self.shares.shared(state, self.optimizer)
        take_over_optimiser(self.optimizer, state["optimizer"])
        self.average.load_state_dict(state["average"])
        self.step, self.losses = state["step"], list(state["losses"])

    @contextmanager
    def with_average(self) -> Iterator[None]:
        """Let what trains compute with its averaged weights inside the `with` statement."""
        with self.average.applied_to(self.shares or self.averaged):
            yield

    def whole_average(self) -> Mapping[str, Tensor]:
        """Averaged weights by name; those that are shared out are whole in the first process."""
        average = self.average.average
        return average if self.shares is None else self.shares.whole_average(average)

    def rate(self) -> float:
        """Learning rate of this step."""
        config = self.config
        return learning_rate(
            self.step, config.learning_rate, config.final_learning_rate, config.warmup, config.steps
        )

    def after_update(self) -> None:
        """Correct the weights after a step, before they are averaged."""

    def train_step(self) -> float:
        """Make one optimiser step and return its loss.

        Raises IncompatibleModelError when that is not a number.
        """
        rate = self.rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        loss = self.backward()
        if not math.isfinite(loss) and not self.step:
            raise IncompatibleModelError(
                "The loss is not a number before anything was learned: a file of weights holds numbers that "
                "are none, or they are too large for bf16; use another file, or train in fp32."
            )
        if not math.isfinite(loss):
            raise IncompatibleModelError(
                f"The loss is not a number at step {self.step}; lower the learning rate or train in fp32."
            )
        longest = self.config.gradient_clip
        if self.shares is None:
            self.gradient = float(nn.utils.clip_grad_norm_(self.clipped, longest))
        else:
            self.gradient = self.shares.clip(longest)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.after_update()
        if self.copies is not None:
            self.copies.to_module()
        self.average.update(self.weights)
        return loss

    def run(self: R, until: int | None = None, after_step: Callable[[R], None] | None = None) -> None:
        """Train up to step `until` (default: all); `after_step` is called after each one."""
        last = self.config.steps if until is None else min(until, self.config.steps)
        begin, first = time.monotonic(), self.step
        logged = begin
        while self.step < last and not self.finished:
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


def learning_rate(step: int, peak: float, final: float, warmup: int, total: int) -> float:
    """Linear warm-up to `peak`, then a half cosine down to `final` at the last step."""
    if step < warmup:
        return peak * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, total - warmup))
    return final + (peak - final) * 0.5 * (1 + math.cos(math.pi * progress))


def parameter_groups(module: Weights, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices and kernels with weight decay; biases, norms and mix factors without."""
    parameters = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
