"""Memory of the devices: its unit, how much there is, and what to do where it runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import comfy.model_management as mm
import torch

from ...temporal.errors import InvalidInputError

CPU = torch.device("cpu")
GIB = 2**30  # bytes
SHARE = 0.8  # of the free memory that frames may take

Made = TypeVar("Made")


def free_memory(device: Any) -> float:
    """Free bytes of a device; the host gives a pair only where it is asked for one."""
    return cast(float, mm.get_free_memory(device))


def total_memory(device: Any) -> float:
    """Bytes of a device in all."""
    return cast(float, mm.get_total_memory(device))


def unless_out_of_memory(compute: Callable[[], Made]) -> Made | None:
    """Result of a computation, None when memory ran out: the caller then tries less at a time."""
    try:
        return compute()
    except mm.OOM_EXCEPTION:
        return None


def check_frames_fit(count: int, size: tuple[int, int], each: float) -> None:
    """Refuse a clip of more frames than main memory holds: `size` in pixels (width, height), bytes `each`."""
    needed, free = each * count, free_memory(CPU)
    if needed > SHARE * free:
        raise InvalidInputError(
            f"{count} frames of {size[0]} x {size[1]} need about {needed / GIB:.1f} GiB of memory, and "
            f"{free / GIB:.1f} GiB are free. Ask for fewer frames, a lower fps or a smaller size."
        )
