"""Changes that training made to an image model that was trained along with temporal layers.

Weights have the names and shapes that they have in the image model.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn


class ImageChanges(nn.Module):
    """A change for every weight of an image model, below the modules' own names; new ones are zero."""

    def __init__(self, shapes: Mapping[str, Sequence[int]], **kwargs: Any) -> None:
        super().__init__()
        for name, shape in shapes.items():
            *path, leaf = name.split(".")
            module: nn.Module = self
            for part in path:
                if part not in module._modules:
                    module.add_module(part, nn.Module())
                module = module.get_submodule(part)
            module.register_parameter(leaf, nn.Parameter(torch.zeros(tuple(shape), **kwargs)))

    @property
    def shapes(self) -> dict[str, torch.Size]:
        """Shape of every change, by the name of its weight."""
        return {name: change.shape for name, change in self.named_parameters()}

    def added_to(self, weights: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
        """The changed weights of an image model, as precise and where its own are."""
        for name, change in self.named_parameters():
            weight = weights[name]
            yield name, (weight.to(change.dtype) + change).to(weight.dtype)
