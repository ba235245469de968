"""Main memory as a device, the unit in which memory is told, and how much of it there is."""

from __future__ import annotations

from typing import Any, cast

import comfy.model_management as mm
import torch

CPU = torch.device("cpu")
GIB = 2**30  # bytes


def free_memory(device: Any) -> float:
    """Free bytes of a device; the host gives a pair only where it is asked for one."""
    return cast(float, mm.get_free_memory(device))


def total_memory(device: Any) -> float:
    """Bytes of a device in all."""
    return cast(float, mm.get_total_memory(device))
