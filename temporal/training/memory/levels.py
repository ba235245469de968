"""Levels of memory: what each keeps, and what it keeps where."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ...errors import InvalidInputError, MissingLibraryError

AUTO = "auto"


@dataclass(frozen=True)
class Level:
    """`recompute`: blocks keep only what goes into them. `small_optimiser`: two numbers of 8 bits a weight.

    `average_on_cpu`: the averaged weights lie in main memory.
    """

    name: str
    recompute: bool = False
    average_on_cpu: bool = False
    small_optimiser: bool = False

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

    @property
    def bytes_per_weight(self) -> int:
        """Of what training keeps for a weight on the device: itself, gradient, optimiser and average."""
        return 4 + 4 + (2 if self.small_optimiser else 8) + (0 if self.average_on_cpu else 4)


FAST = Level("fast")
SMALL = Level("small", recompute=True, average_on_cpu=True)
SMALLEST = Level("smallest", recompute=True, average_on_cpu=True, small_optimiser=True)
LEVELS: Mapping[str, Level] = {level.name: level for level in (FAST, SMALL, SMALLEST)}
CHOICES = (AUTO, *LEVELS)


def chosen_level(name: str, needed: Callable[[Level], int], free: int) -> Level:
    """The level of a name, or the fastest that fits; `needed` and `free` are bytes on the device.

    Raises InvalidInputError where the training does not fit, with the level that would.
    """
    asked = list(LEVELS.values()) if name == AUTO else [LEVELS[name]]
    for level in asked:
        if needed(level) <= free:
            return level
    least = asked[-1]
    lack = f"needs about {gibibytes(needed(least))}, but {gibibytes(free)} are free on the device"
    for level in LEVELS.values():
        if needed(level) <= free:
            raise InvalidInputError(
                f"At memory {least.name!r} the training {lack}; choose {level.name!r}, which needs about "
                f"{gibibytes(needed(level))}."
            )
    raise InvalidInputError(
        f"At memory {least.name!r} the training {lack}, and no other level fits; train on smaller or shorter "
        "clips or with a smaller batch, or train a LoRA."
    )


def gibibytes(size: int) -> str:
    """A number of bytes, as people say it."""
    return f"{size / 2**30:.1f} GiB"
