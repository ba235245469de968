"""Weights of newer hosts on Windows and NVIDIA, put in front of the pack on any host.

On Windows a Linear has no weight, and an Embedding none of its own, until one is loaded. On NVIDIA a patcher
leaves behind in every module it loaded what is its own: memory that two may not free, and the weights that
are computed with.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn


def lazy_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's Linear and Embedding make no weight; loading them does."""
    import comfy.ops

    for name, made in (("Linear", _linear), ("Embedding", _embedding)):
        layer = getattr(comfy.ops.disable_weight_init, name)
        monkeypatch.setattr(layer, "__init__", made)
        monkeypatch.setattr(layer, "_load_from_state_dict", _loaded)


def _linear(
    self: nn.Linear, inputs: int, outputs: int, bias: bool = True, device: Any = None, dtype: Any = None
):
    nn.Module.__init__(self)
    self.in_features, self.out_features, self.wanted = inputs, outputs, ("weight", "bias")[: 1 + bias]
    self.weight = self.bias = None


def _embedding(self: nn.Embedding, count: int, width: int, device: Any = None, dtype: Any = None, **_: Any):
    nn.Module.__init__(self)
    self.num_embeddings, self.embedding_dim, self.wanted = count, width, ("weight",)
    self.padding_idx = self.max_norm = None
    self.norm_type, self.scale_grad_by_freq, self.sparse = 2.0, False, False
    self.weight, self.bias = nn.Parameter(torch.empty(count, width, device="meta"), requires_grad=False), None


def _loaded(self: nn.Module, weights: dict, prefix: str, notes: dict, _strict: bool, missing: list, *_: Any):
    for leaf in self.wanted:
        weight = weights.get(prefix + leaf)
        if weight is None:
            missing.append(prefix + leaf)
            continue
        weight = weight if notes.get("assign_to_params_buffers") else weight.clone()
        setattr(self, leaf, nn.Parameter(weight, requires_grad=False))


class Pins:
    """Memory of one patcher; a copy of it would free it twice and end the process."""

    def __deepcopy__(self, _memo: dict) -> None:
        raise AssertionError("pinned memory was copied along with the module it belongs to")


class Resident:
    """The weight that is computed with once it was loaded, whatever becomes of the one in the module."""

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight.clone()

    def __call__(self, _weight: Tensor) -> Tensor:
        return self.weight


def as_used(patcher: Any, pins: bool = True) -> None:
    """Leave behind in the modules of a patcher what newer hosts do when they load it on NVIDIA."""
    patcher.model.dynamic_pins = {"cpu": Pins()} if pins else {}
    for module in patcher.model.modules():
        if hasattr(module, "comfy_cast_weights") and getattr(module, "weight", None) is not None:
            module.comfy_cast_weights = True
            module.weight_function = [Resident(module.weight)]
            module._v_weight = module.weight_function[0].weight
