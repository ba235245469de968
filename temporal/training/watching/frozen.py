"""Weights that a training leaves as they are: a state is only gone on with beside those it was made with."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

PER_WEIGHT = 8  # numbers that are kept of each
ROUNDED = 0.005  # of a number's size: bfloat16 is 0.002 off
OTHERS = 0.05  # share of the numbers that are further off in other weights


def some_numbers(*modules: nn.Module) -> Tensor:
    """A few numbers of every matrix and kernel (n,), by which other weights are noticed."""
    return torch.cat([_some(weight) for module in modules for weight in _large(module)])


def are_others(saved: Tensor, now: Tensor) -> bool:
    """True for numbers of other weights, and not for the same ones in another precision."""
    if saved.shape != now.shape:
        return True
    return bool(((saved - now).abs() > ROUNDED * now.abs()).float().mean() > OTHERS)


def _large(module: nn.Module) -> Iterable[Tensor]:
    return (weight for _, weight in sorted(module.named_parameters()) if weight.ndim > 1)


def _some(weight: Tensor) -> Tensor:
    flat = weight.detach().flatten()
    return flat[:: max(1, len(flat) // PER_WEIGHT)][:PER_WEIGHT].to("cpu", torch.float32, copy=True)
