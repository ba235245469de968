"""Names and shapes of a module's weights, from its description and not from the layers that a host makes.

A host may make layers whose weight comes into being only when it is loaded; PyTorch's own layers always have
theirs.
"""

import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import nn


class Plain:
    """PyTorch's own layers as `ops`, without first numbers: nobody looks at them."""

    class Linear(nn.Linear):
        def reset_parameters(self) -> None:
            pass

    class Conv2d(nn.Conv2d):
        def reset_parameters(self) -> None:
            pass

    class Conv3d(nn.Conv3d):
        def reset_parameters(self) -> None:
            pass

    class Embedding(nn.Embedding):
        def reset_parameters(self) -> None:
            pass

    class GroupNorm(nn.GroupNorm):
        def reset_parameters(self) -> None:
            pass

    class LayerNorm(nn.LayerNorm):
        def reset_parameters(self) -> None:
            pass

    @staticmethod
    def conv_nd(axes: int, *args: Any, **kwargs: Any) -> nn.Module:
        """Convolution over 2 or 3 axes, as the UNets of hosts ask for it."""
        return {2: Plain.Conv2d, 3: Plain.Conv3d}[axes](*args, **kwargs)


@functools.lru_cache(maxsize=16)
def weight_shapes(kind: Callable[..., nn.Module], config: Any) -> Mapping[str, torch.Size]:
    """Names and shapes of the weights of `kind(config, ops)`, whatever `ops` is.

    Takes no memory for the weights.
    """
    return MappingProxyType(shapes_of(lambda ops: kind(config, ops)))


def shapes_of(make: Callable[[Any], nn.Module]) -> dict[str, torch.Size]:
    """Names and shapes of the weights of a module that `make` builds of some `ops`."""
    with torch.device("meta"):
        return {key: weight.shape for key, weight in make(Plain).state_dict().items()}
