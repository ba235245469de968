"""A host ModelPatcher around a module of ours, and the weights in one of the host's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import comfy.model_management as mm
import comfy.model_patcher
from torch import Tensor, nn

from ...temporal.errors import IncompatibleModelError
from ...temporal.weights.files import listed

# A function and its arguments that make one more patcher, with weights of its own, of what a file holds: what
# a host needs to compute on a second device, or (`disable_dynamic`, which it is also given) with all weights
# loaded at once.
Again = tuple[Callable[..., Any], tuple]


def new_patcher(
    module: nn.Module,
    offload_device: Any,
    load_device: Any = None,
    again: Again | None = None,
    dynamic: bool = True,
) -> Any:
    """ModelPatcher through which the host loads, counts and offloads the weights of `module`.

    It is the host's dynamic one where the host has that.
    """
    plain = comfy.model_patcher.ModelPatcher
    # asked for each time: newer hosts choose it while they start
    kind = vars(comfy.model_patcher).get("CoreModelPatcher", plain) if dynamic else plain
    patcher = kind(
        module.eval(), load_device=load_device or mm.get_torch_device(), offload_device=offload_device
    )
    patcher.cached_patcher_init = again  # pyright: ignore[reportAttributeAccessIssue] of newer hosts
    return patcher


def original_weights(patcher: Any) -> dict[str, Tensor]:
    """The weights that a patcher loads, as they came from the file, wherever they are now; not copies."""
    backup = patcher.backup
    return {
        name: backup[name].weight if name in backup else weight
        for name, weight in patcher.model.state_dict().items()
    }


def with_image_changes(model: Any, changes: Mapping[str, Tensor], strength: float, throughout: bool) -> Any:
    """Clone of a MODEL whose image model has the weights that layers were trained along with.

    They are `changes` times strength on top, as the host does it with a LoRA.

    Raises IncompatibleModelError where the image model has no such weights, or the layers are to act in a
    part of the sampling only (not `throughout`).
    """
    patched = model.clone()
    if not changes:
        return patched
    if not throughout:
        raise IncompatibleModelError(
            "These temporal layers bring weights of the image model, which cannot change inside a sampling. "
            "Set start_percent to 0 and end_percent to 1."
        )
    shapes = {name: weight.shape for name, weight in model.model.diffusion_model.state_dict().items()}
    unfit = [name for name, change in changes.items() if shapes.get(name) != change.shape]
    if unfit:
        raise IncompatibleModelError(
            f"These temporal layers change weights that this image model does not have: {listed(unfit)}. "
            "Load the kind of checkpoint they were trained with."
        )
    named = {f"diffusion_model.{name}": ("diff", (change,)) for name, change in changes.items()}
    patched.add_patches(named, strength)
    return patched
