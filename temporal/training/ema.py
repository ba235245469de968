"""Exponential moving average of trained weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

from .memory.main_memory import Weights


class ExponentialMovingAverage:
    """Averages the parameters that train.

    The decay ramps up as (1 + n) / (10 + n) over the first updates n.
    """

    def __init__(self, module: Weights, decay: float, on_cpu: bool = False) -> None:
        self.decay = decay
        self.updates = 0
        trained = ((n, p.detach()) for n, p in module.named_parameters() if p.requires_grad)
        self.average = {n: p.to("cpu", copy=True) if on_cpu else p.clone() for n, p in trained}

    @torch.no_grad()
    def update(self, module: Weights) -> None:
        """Move the average towards the weights as they are after a step."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        self.updates += 1
        current = dict(module.named_parameters())
        now = [current[n].to(average.device) for n, average in self.average.items()]
        torch._foreach_lerp_(  # pyright: ignore[reportPrivateImportUsage] public in the docs
            list(self.average.values()), now, 1 - decay
        )

    @contextmanager
    def applied_to(self, module: Weights) -> Iterator[None]:
        """The module with averaged weights inside the `with` statement, with its own again afterwards."""
        current = {n: p for n, p in module.named_parameters() if n in self.average}
        kept = {n: p.detach().clone() for n, p in current.items()}
        try:
            _copy(self.average, current)
            yield
        finally:
            _copy(kept, current)

    def state_dict(self) -> dict:
        """The average and its number of updates, for a training state."""
        return {"updates": self.updates, "average": self.average}

    def load_state_dict(self, state: Mapping) -> None:
        """Take over a state of the same weights."""
        self.updates = state["updates"]
        _copy(state["average"], self.average)


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    for name, tensor in target.items():
        tensor.copy_(source[name])
