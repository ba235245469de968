"""A host ModelPatcher around a module of ours."""

from __future__ import annotations

from typing import Any

import comfy.model_management as mm
import comfy.model_patcher
from torch import nn


def new_patcher(module: nn.Module, offload_device: Any, load_device: Any = None) -> Any:
    """ModelPatcher that lets the host load, count and offload the weights of `module`."""
    patcher_class = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    load_device = load_device or mm.get_torch_device()
    return patcher_class(module.eval(), load_device=load_device, offload_device=offload_device)
