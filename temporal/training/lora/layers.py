"""Low-rank changes beside frozen layers (Hu et al., LoRA): trained through hooks, so that the layers stay.

Shapes: r rank, i and o channels into and out of a layer, k taps of a kernel.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...stack.low_rank import Changed, changed_outputs, in_order

CONVOLUTIONS = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}


class Factors(nn.Module):
    """`scale * up @ down` for one weight, or some of its rows: nothing at birth, as `up` is zero."""

    def __init__(self, shape: Sequence[int], rank: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.down = nn.Parameter(torch.empty(rank, *shape[1:]))  # (r i) or (r i k k)
        self.up = nn.Parameter(torch.zeros(shape[0], rank))  # (o r)
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Tensor, layer: Any) -> Tensor:
        """Change of the layer's output for x."""
        down, up = self.down, self.up
        if x.is_meta or not torch.is_autocast_enabled(x.device.type):
            down, up = down.to(x.dtype), up.to(x.dtype)
        if down.ndim == 2:
            return self.scale * functional.linear(functional.linear(x, down), up)
        convolve = CONVOLUTIONS[down.ndim]
        narrow = convolve(x, down, None, layer.stride, layer.padding, layer.dilation)
        return self.scale * convolve(narrow, up.view(*up.shape, *(1,) * (down.ndim - 2)))


class LowRank(nn.Module):
    """Factors for weights of a module that is not a part of this one."""

    def __init__(self, module: nn.Module, changed: Sequence[Changed], rank: int, scale: float) -> None:
        super().__init__()
        self.changed = tuple(sorted(changed, key=in_order))
        self.factors = nn.ModuleList()
        for place in self.changed:
            weight = module.get_parameter(place.weight)
            rows = weight.shape[0] if place.rows is None else place.rows[1]
            self.factors.append(Factors((rows, *weight.shape[1:]), rank, scale))

    @property
    def pairs(self) -> list[tuple[Changed, Factors]]:
        """Every changed weight with its factors."""
        return list(zip(self.changed, cast("Sequence[Factors]", self.factors), strict=True))

    @contextmanager
    def beside(self, module: nn.Module) -> Iterator[None]:
        """The module with its weights changed inside the `with` statement, as it was afterwards.

        A backward pass that computes again what was not kept belongs inside, too.
        """
        with changed_outputs(module, self.pairs):
            yield

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """No change inside the `with` statement, wherever the factors are."""
        scales = [(factors, factors.scale) for _, factors in self.pairs]
        try:
            for factors, _ in scales:
                factors.scale = 0.0
            yield
        finally:
            for factors, scale in scales:
                factors.scale = scale
