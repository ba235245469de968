"""Weights that learn in main memory, while a device computes with copies of them that are half as long."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn


class Weights(Protocol):
    """Trained weights, as the optimiser, the average and the state know them: a module, or copies of it."""

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any: ...


class InMainMemory:
    """Float32 copies of the weights of a module that learn, in main memory, for the optimiser to work on.

    The module keeps its matrices and kernels in bfloat16 where they are `halved`; norms, biases and mix
    factors stay as they are. A gradient goes to its copy as soon as it is whole, and the device forgets it,
    so that it never holds more than one; several backward passes add up in float32. `to_module` brings back
    what the optimiser made.
    """

    def __init__(self, module: nn.Module, halved: bool) -> None:
        self.module = module
        self.copies: dict[str, nn.Parameter] = {}
        for name, weight in module.named_parameters():
            if not weight.requires_grad:
                continue
            copy = nn.Parameter(weight.detach().to("cpu", torch.float32, copy=True))
            if halved and weight.ndim > 1:
                weight.data = weight.data.to(torch.bfloat16)
            weight.register_post_accumulate_grad_hook(partial(_hand_over, copy))
            self.copies[name] = copy

    def parameters(self) -> Iterator[nn.Parameter]:
        """The copies."""
        return iter(self.copies.values())

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The copies, by the names of the weights."""
        return iter(self.copies.items())

    @torch.no_grad()
    def to_module(self) -> None:
        """Give the module what its copies are now."""
        for name, weight in self.module.named_parameters():
            if name in self.copies:
                weight.copy_(self.copies[name])

    def state_dict(self) -> dict[str, Tensor]:
        """State of the module, with the copies in place of what is halved."""
        return {**self.module.state_dict(), **{name: copy.detach() for name, copy in self.copies.items()}}

    @torch.no_grad()
    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a state of the module, and give it to the module too."""
        self.module.load_state_dict(state_dict)
        for name, copy in self.copies.items():
            copy.copy_(state_dict[name])


def _hand_over(copy: nn.Parameter, weight: Tensor) -> None:
    """Add a weight's gradient to that of its copy, and drop it."""
    gradient = cast(Tensor, weight.grad).to("cpu", torch.float32)  # there is one whenever this is called
    weight.grad = None
    copy.grad = gradient if copy.grad is None else copy.grad + gradient
