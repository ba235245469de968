"""Batches drawn ahead of the step that needs them, in worker processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from torch.utils.data import DataLoader, Dataset

Drawn = TypeVar("Drawn")


class DrawnAhead(Generic[Drawn]):
    """A function of the step whose next results are already there.

    `draw(step)` must depend on nothing but the step; then any number of workers gives what none would give.
    Steps asked for out of turn start the workers anew.
    """

    def __init__(self, draw: Callable[[int], Drawn], steps: int, workers: int) -> None:
        self.draw, self.steps, self.workers = draw, steps, workers
        self._next, self._results = -1, iter(())

    def __call__(self, step: int) -> Drawn:
        """Result of `draw` for a step."""
        if self.workers == 0 or not 0 <= step < self.steps:
            return self.draw(step)
        if step != self._next:
            self._results = self._from(step)
        self._next = step + 1
        return next(self._results)

    def _from(self, step: int) -> Iterator[Drawn]:
        loader = DataLoader(
            _Calls(self.draw, self.steps),
            sampler=range(step, self.steps),
            batch_size=None,
            num_workers=self.workers,
            prefetch_factor=4,
        )
        return iter(loader)


class _Calls(Dataset[Drawn]):
    """A function of whole numbers as a dataset."""

    def __init__(self, draw: Callable[[int], Drawn], count: int) -> None:
        self.draw, self.count = draw, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Drawn:
        return self.draw(index)
