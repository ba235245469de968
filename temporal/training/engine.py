"""Several processes that train as one: each computes a part of every step, and their gradients are added up.

Started by torchrun or accelerate, which tell each process its number; a process alone is the engine of one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed

from ..errors import ProcessLostError


@dataclass(frozen=True)
class Engine:
    """Process number `rank` of `world`. The first one writes files.

    With `shards` each keeps a share of what learns (memory/shares.py), so that all have to take part whenever
    it computes, is written or looked at.
    """

    rank: int = 0
    world: int = 1
    shards: bool = False

    @property
    def is_first(self) -> bool:
        """True for the process that writes files."""
        return self.rank == 0

    @property
    def shares(self) -> int:
        """Number of processes that share out what learns."""
        return self.world if self.shards else 1

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

    def decided(self, by_first: bool) -> bool:
        """Decision of the first process, told to the others where they take part."""
        if not self.shards:
            return by_first
        told = torch.tensor([float(by_first and self.is_first)])
        self.add_up([told])
        return bool(told)

    def wait(self) -> None:
        """Wait for all processes to come here; raises ProcessLostError when one of them is gone."""
        if self.world > 1:
            with _told():
                distributed.barrier()


ALONE = Engine()
LONGEST_REASON = 120  # of what the network says


def launched() -> int:
    """Number of processes that a launcher started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def engine(shards: bool = False) -> Iterator[Engine]:
    """This process among those that its launcher started.

    Raises ProcessLostError where they do not meet, and where one is lost while weights that are shared out
    compute.
    """
    world = launched()
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
        with _told(_of_the_network):
            yield Engine(distributed.get_rank(), world, shards)
    finally:
        distributed.destroy_process_group()


def choose_device() -> None:
    """Give each process on a machine a GPU of its own, before the host asks for one."""
    number = int(os.environ.get("LOCAL_RANK", "-1"))
    if 0 <= number < torch.accelerator.device_count():
        torch.accelerator.set_device_index(number)


@contextmanager
def _told(these: Callable[[RuntimeError], bool] = lambda _: True) -> Iterator[None]:
    """A sentence for errors of the network, which come from a process that is gone."""
    try:
        yield
    except RuntimeError as error:
        if not these(error):
            raise
        raise ProcessLostError(
            f"Another process of this training ended ({_reason(error)}); start all of them again with "
            "--resume."
        ) from None


def _of_the_network(error: RuntimeError) -> bool:
    """True for an error of PyTorch's libraries for processes; most others have nothing to do with them."""
    return isinstance(error, distributed.DistError) or "gloo" in str(error)


def _reason(error: Exception) -> str:
    """The beginning of what the network said."""
    return (str(error).splitlines() or [type(error).__name__])[0][:LONGEST_REASON]
