"""Several processes that train as one: each computes a part of every step, and their gradients are added up.

Started by torchrun or accelerate, which tell each process its number; a process alone is the engine of one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from ..errors import ProcessLostError


@dataclass(frozen=True)
class Engine:
    """Process number `rank` of `world`. The first one writes files."""

    rank: int = 0
    world: int = 1

    @property
    def is_first(self) -> bool:
        """True for the process that writes files."""
        return self.rank == 0

    def add_up(self, tensors: Iterable[Tensor]) -> None:
        """Replace tensors by their sums over all processes.

        Raises ProcessLostError when one of the others is gone.
        """
        if self.world == 1:
            return
        for tensor in tensors:
            with _told():
                distributed.all_reduce(tensor)

    @contextmanager
    def first_one_first(self) -> Iterator[None]:
        """Let the first process do something before all others: prepare files that they then find."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def wait(self) -> None:
        """Wait for all processes to come here; raises ProcessLostError when one of them is gone."""
        if self.world > 1:
            with _told():
                distributed.barrier()


ALONE = Engine()
LONGEST_REASON = 120  # of what the network says


@contextmanager
def engine() -> Iterator[Engine]:
    """This process among those that its launcher started; raises ProcessLostError where they do not meet."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Engine()
        return
    try:
        distributed.init_process_group(None if torch.accelerator.is_available() else "gloo")
    except (RuntimeError, ValueError) as error:
        raise ProcessLostError(
            f"The {world} processes of this training did not find each other ({_reason(error)}); start them "
            "with torchrun or accelerate launch, on several machines with the address of the first one."
        ) from None
    try:
        yield Engine(distributed.get_rank(), world)
    finally:
        distributed.destroy_process_group()


def choose_device() -> None:
    """Give each process on a machine a GPU of its own, before the host asks for one."""
    number = int(os.environ.get("LOCAL_RANK", "-1"))
    if 0 <= number < torch.accelerator.device_count():
        torch.accelerator.set_device_index(number)


@contextmanager
def _told() -> Iterator[None]:
    """A sentence for errors of the network, which come from a process that is gone."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLostError(
            f"Another process of this training ended ({_reason(error)}); start all of them again with "
            "--resume."
        ) from None


def _reason(error: Exception) -> str:
    """The beginning of what the network said."""
    return (str(error).splitlines() or [type(error).__name__])[0][:LONGEST_REASON]
