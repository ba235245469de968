"""Low-rank changes beside layers that stay as they are (Hu et al., LoRA).

Shapes: r rank, i and o channels into and out of a layer, k taps of a kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

from torch import Tensor, nn

KERNELS = {3: "Conv1d", 4: "Conv2d", 5: "Conv3d"}  # by axes of the weight


@dataclass(frozen=True)
class Changed:
    """A weight of a module by name, or some of its rows: first and count."""

    weight: str
    rows: tuple[int, int] | None = None

    @property
    def layer(self) -> str:
        """Path of the layer that has the weight."""
        return self.weight.rpartition(".")[0]


@dataclass(frozen=True)
class FactorPair:
    """Factors for one weight: up (o r), down (r i) or (r i k k), and what their product is multiplied by."""

    place: Changed
    up: Tensor
    down: Tensor
    scale: float


class LowRankLayer(nn.Module):
    """`scale * up(down(x))` beside one layer: linear, or a convolution with the stride and padding of it."""

    def __init__(self, layer: Any, pair: FactorPair, ops: Any) -> None:
        super().__init__()
        self.scale = pair.scale
        outputs, rank = len(pair.up), len(pair.down)
        inputs, *kernel = layer.weight.shape[1:]
        given: dict[str, Any] = {"bias": False, "dtype": pair.down.dtype, "device": pair.down.device}
        if kernel:
            make = getattr(ops, KERNELS[layer.weight.ndim])
            how = {name: getattr(layer, name) for name in ("stride", "padding", "dilation")}
            self.down = make(inputs, rank, tuple(kernel), **how, **given)
            self.up = make(rank, outputs, 1, **given)
        else:
            self.down = ops.Linear(inputs, rank, **given)
            self.up = ops.Linear(rank, outputs, **given)
        for part, factor in ((self.down, pair.down), (self.up, pair.up)):
            part.weight = nn.Parameter(factor.reshape(part.weight.shape), requires_grad=False)

    def forward(self, x: Tensor, _layer: nn.Module) -> Tensor:
        """Change of the layer's output for x."""
        return self.up(self.down(x)).mul_(self.scale)


class LowRankLayers(nn.Module):
    """Low-rank changes of a module that is not a part of this one, of which no weight is touched."""

    def __init__(self, module: nn.Module, pairs: Sequence[FactorPair], ops: Any) -> None:
        super().__init__()
        ordered = sorted(pairs, key=lambda pair: in_order(pair.place))
        self.changed = tuple(pair.place for pair in ordered)
        self.layers = nn.ModuleList(
            LowRankLayer(module.get_submodule(pair.place.layer), pair, ops) for pair in ordered
        )

    @contextmanager
    def beside(self, module: nn.Module) -> Iterator[None]:
        """The module with its weights changed inside the `with` statement, as it was afterwards."""
        layers = cast("Sequence[LowRankLayer]", self.layers)
        with changed_outputs(module, zip(self.changed, layers, strict=True)):
            yield


def in_order(place: Changed) -> tuple[str, tuple[int, int]]:
    """Sorts places by layer, and by rows inside one."""
    return place.layer, place.rows or (0, 0)


@contextmanager
def changed_outputs(module: nn.Module, pairs: Iterable[tuple[Changed, Any]]) -> Iterator[None]:
    """Layers of a module give what they gave plus what low-rank factors give, inside the `with` statement.

    `pairs` are sorted by layer. The factors are called with the layer's input and the layer.
    """
    with ExitStack() as hooks:
        for path, group in groupby(pairs, key=lambda pair: pair[0].layer):
            layer = module.get_submodule(path)
            hooks.callback(layer.register_forward_hook(_adding(tuple(group))).remove)
        yield


def _adding(group: Sequence[tuple[Changed, Any]]) -> Callable[..., Tensor]:
    """A forward hook that adds to a layer's output what factors give."""

    def after(layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
        for place, factors in group:
            first, count = place.rows or (0, 0)
            part = output[..., first : first + count] if place.rows else output
            part += factors(args[0], layer)
        return output

    return after
