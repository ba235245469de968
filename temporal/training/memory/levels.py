"""Levels of memory: what each keeps, and what it keeps where."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import IncompatibleModelError, InvalidInputError, MissingLibraryError

AUTO = "auto"
PACKAGE = "bitsandbytes"  # an extra, which has the optimiser of 8 bits


@dataclass(frozen=True)
class Level:
    """`recompute`: blocks keep only what goes into them. `small_optimiser`: two numbers of 8 bits a weight.

    `average_on_cpu`: the averaged weights lie in main memory. `optimiser_on_cpu`: so do the weights
    themselves in float32, their gradients and the optimiser's numbers (main_memory.py).
    """

    name: str
    recompute: bool = False
    average_on_cpu: bool = False
    small_optimiser: bool = False
    optimiser_on_cpu: bool = False

    @property
    def is_there(self) -> bool:
        """False where a package for it is missing."""
        return not self.small_optimiser or importlib.util.find_spec(PACKAGE) is not None

    @property
    def shares(self) -> bool:
        """True where several processes can share out what learns: its optimiser works on parts of weights."""
        return not self.small_optimiser and not self.optimiser_on_cpu

    def optimiser(self, groups: list[dict[str, Any]], rate: float) -> torch.optim.Optimizer:
        """AdamW for groups of weights; raises InvalidInputError where a package for it is not there."""
        if not self.small_optimiser:
            return torch.optim.AdamW(groups, rate, fused=True)
        try:
            from bitsandbytes.optim import AdamW8bit  # pyright: ignore  (an extra)
        except ImportError:
            raise MissingLibraryError(
                f"Memory {self.name!r} needs the package bitsandbytes, which is not installed; run pip "
                "install bitsandbytes in ComfyUI's Python, or choose another level."
            ) from None
        return AdamW8bit(groups, rate)

    def bytes_on_device(self, width: int) -> int:
        """Of what training keeps for a weight there: itself, gradient, optimiser and average.

        `width`: bytes of a weight that is computed with in other numbers than it learns in.
        """
        if self.optimiser_on_cpu:
            return width
        return 4 + 4 + (2 if self.small_optimiser else 8) + (0 if self.average_on_cpu else 4)

    @property
    def bytes_in_main_memory(self) -> int:
        """Of what training keeps for a weight in main memory: its average, and all that learns."""
        return (4 if self.average_on_cpu else 0) + (4 + 4 + 8 if self.optimiser_on_cpu else 0)


FAST = Level("fast")
SMALL = Level("small", recompute=True, average_on_cpu=True)
SMALLER = Level("smaller", recompute=True, average_on_cpu=True, small_optimiser=True)
SMALLEST = Level("smallest", recompute=True, average_on_cpu=True, optimiser_on_cpu=True)
LEVELS: Mapping[str, Level] = {level.name: level for level in (FAST, SMALL, SMALLER, SMALLEST)}
CHOICES = (AUTO, *LEVELS)


@dataclass(frozen=True)
class Room:
    """Bytes on the device and in main memory."""

    device: int
    main: int = 0

    def holds(self, needed: Room) -> bool:
        """True if what is needed fits."""
        return needed.device <= self.device and needed.main <= self.main

    def lack(self, needed: Room) -> str:
        """Words on what of the needed there is too little of."""
        if needed.device > self.device:
            return f"{gibibytes(needed.device)}, but {gibibytes(self.device)} are free on the device"
        return f"{gibibytes(needed.main)} of main memory, but {gibibytes(self.main)} are free"

    def __str__(self) -> str:
        beside = f" and {gibibytes(self.main)} of main memory" if self.main else ""
        return f"{gibibytes(self.device)}{beside}"


def chosen_level(
    name: str, needed: Callable[[Level], Room], free: Room, levels: Iterable[Level] = LEVELS.values()
) -> Level:
    """The level of a name, or the fastest of some that fits.

    Raises InvalidInputError where the training does not fit, with the level that would.
    """
    usable = [level for level in levels if level.is_there]
    asked = usable if name == AUTO else [LEVELS[name]]
    for level in asked:
        if free.holds(needed(level)):
            return level
    least = asked[-1]
    lack = f"needs about {free.lack(needed(least))}"
    for level in usable:
        if free.holds(needed(level)):
            raise InvalidInputError(
                f"At memory {least.name!r} the training {lack}; choose {level.name!r}, which needs about "
                f"{needed(level)}."
            )
    raise InvalidInputError(
        f"At memory {least.name!r} the training {lack}, and no other level fits; train on smaller or shorter "
        "clips or with a smaller batch, or train a LoRA."
    )


def take_over_optimiser(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Load what an optimiser of a saved run knew.

    Raises IncompatibleModelError for that of the other kind: 8 bits are not made of more, nor more of 8.
    """
    known = next(iter(state["state"].values()), None)
    if known is not None and ("exp_avg" in known) != isinstance(optimizer, torch.optim.AdamW):
        other = (FAST, SMALL, SMALLEST) if "exp_avg" in known else (SMALLER,)
        names = " or ".join(repr(level.name) for level in other)
        raise IncompatibleModelError(
            f"The training state has an optimiser of another kind than this level of memory; go on at memory "
            f"{names}."
        )
    optimizer.load_state_dict(state)


def gibibytes(size: int) -> str:
    """A number of bytes, as people say it."""
    return f"{size / 2**30:.1f} GiB"
