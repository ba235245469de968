"""TorchCompileModel beside temporal layers: what lies between the layers is compiled, block by block.

Layers enter the image model as hooks while it runs, and code that was compiled around them would keep the
hooks of its first call for ever. So the image model is not compiled as a whole: the host's own helper
compiles each part that no hook reaches into, with the settings of the node, and the hooks stay outside of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from comfy.ldm.modules.attention import BasicTransformerBlock
from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock
from comfy.patcher_extension import WrappersMP
from comfy_api.torch_helpers import set_torch_compile_wrapper
from comfy_api.torch_helpers.torch_compile import COMPILE_KEY, TORCH_COMPILE_KWARGS
from torch import nn

from ....temporal.errors import IncompatibleModelError
from ....temporal.stack.stack import TemporalStack
from .attached.stacks import stacks_of
from .hooks import hooked_paths

UNET = "diffusion_model"
LIMIT_KEY = "video_ldm.compiled"
# PyTorch's names for the most programs of one line of code, and of all its inputs: now, and before 2.6
LIMITS = (
    ("recompile_limit", "accumulated_recompile_limit"),
    ("cache_size_limit", "accumulated_cache_size_limit"),
)
SHAPES = 4  # of each part: sizes of clips and windows that are kept compiled
PARTS_OF_RES_BLOCK = ("in_layers", "out_layers")  # the host asks for the type of the block itself


def compile_between_layers(executor: Any, *args: Any, **kwargs: Any) -> Any:
    """OUTER_SAMPLE wrapper: a compiled MODEL runs with the parts between its layers compiled one by one.

    Raises IncompatibleModelError for a MODEL that was compiled in an unknown way.
    """
    guider = executor.class_obj
    model = guider.model_patcher
    if model.get_wrappers(WrappersMP.APPLY_MODEL, COMPILE_KEY):
        if TORCH_COMPILE_KWARGS not in model.model_options:
            raise IncompatibleModelError(
                "The MODEL was compiled by a node that does not say how, and temporal layers need the parts "
                "between them compiled one by one. Use TorchCompileModel in its place, or remove it."
            )
        # The options of a guider belong to one sampling.
        wrappers = guider.model_options["transformer_options"]["wrappers"][WrappersMP.APPLY_MODEL]
        others = {name: found for name, found in wrappers.items() if name != COMPILE_KEY}
        wrappers.clear()  # compiled parts come first, so that the layers are put in beside them
        wrappers |= {**_compiled_parts(model), **others}
    return executor(*args, **kwargs)


def _compiled_parts(model: Any) -> dict[str, list[Callable[..., Any]]]:
    """APPLY_MODEL wrappers that put compiled parts into the image model for one call, made by the host."""
    stacks = stacks_of(model)
    norms = any(settings.norms_over_clip(stack.config) for stack, settings in stacks)
    unet = model.get_model_object(UNET)
    paths = [f"{UNET}.{path}" for path in parts_between(unet, [stack for stack, _ in stacks], norms)]
    host = model.clone()
    set_torch_compile_wrapper(host, keys=paths, **model.model_options[TORCH_COMPILE_KWARGS])
    return {
        LIMIT_KEY: [_room_for(SHAPES * len(paths))],
        COMPILE_KEY: host.get_wrappers(WrappersMP.APPLY_MODEL, COMPILE_KEY),
    }


def _room_for(programs: int) -> Callable[..., Any]:
    """APPLY_MODEL wrapper that lets so many programs be compiled from one line of code.

    PyTorch expects one part, called with up to eight kinds of input; here all blocks of the UNet share it.
    """

    def with_room(executor: Any, *args: Any, **kwargs: Any) -> Any:
        from torch._dynamo import config  # takes a second that only those who compile wait for

        names = next(pair for pair in LIMITS if hasattr(config, pair[0]))
        limits = {name: max(getattr(config, name), programs) for name in names}
        with config.patch(limits):
            return executor(*args, **kwargs)

    return with_room


def parts_between(unet: nn.Module, stacks: Sequence[TemporalStack], norms: bool) -> Iterator[str]:
    """Paths of the largest parts of the blocks of a UNet that have no hook inside."""
    hooked = [path for stack in stacks for path in hooked_paths(stack)]
    for path, block in unet.named_modules():
        if isinstance(block, BasicTransformerBlock):
            yield from _largest(block, path, hooked, norms)
        elif isinstance(block, ResBlock):
            for name in PARTS_OF_RES_BLOCK:
                yield from _largest(block.get_submodule(name), f"{path}.{name}", hooked, norms)


def _largest(module: nn.Module, path: str, hooked: Sequence[str], norms: bool) -> Iterator[str]:
    """Paths of the module, or else of the largest of its parts; a single operation is not worth a call."""
    if not any(module.children()):
        return
    inside = any(other.startswith(f"{path}.") for other in hooked)
    if inside or (norms and any(isinstance(part, nn.GroupNorm) for part in module.modules())):
        for name, part in module.named_children():
            yield from _largest(part, f"{path}.{name}", hooked, norms)
    else:
        yield path
