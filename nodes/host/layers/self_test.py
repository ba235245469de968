"""A check, on hosts newer than all tested ones, that what the pack rests on still holds.

Asked once, before layers are used.

A tiny image model of the host with tiny temporal layers, put in as any others; random weights, nothing is
loaded on a device. Shapes: two chunks (cond, uncond) of two frames, ((b f) c h w).
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import comfy.ops
import comfy.supported_models
import torch
from comfy.model_base import BaseModel
from comfy.model_patcher import ModelPatcher
from torch import Tensor, nn

from ....temporal.errors import IncompatibleModelError
from ....temporal.stack.stack import StackConfig, TemporalStack
from ....temporal.weights.shapes import shapes_of
from .attached.settings import LayerSettings
from .insertion import add_temporal_layers
from .shapes import unet_shape
from .versions import TESTED, host_version, is_newer_than_tested

logger = logging.getLogger(__name__)

FRAMES, SIZE, TEXT, CHANNELS = 2, 4, 8, 32
UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": CHANNELS,
    "num_res_blocks": [1],
    "channel_mult": [1],
    "transformer_depth": [1],
    "transformer_depth_output": [0, 0],
    "transformer_depth_middle": 1,
    "context_dim": TEXT,
    "use_spatial_transformer": True,
    "legacy": False,
    "use_linear_in_transformer": False,
    "adm_in_channels": None,
}
SAME = 1e-4  # a batch of other numbers may be added up in another order
# what a host whose interfaces have moved may raise here
BROKEN = (AttributeError, TypeError, ValueError, RuntimeError, LookupError, ImportError, NotImplementedError)


def check_host() -> str:
    """One line on a host that is newer than all tested ones, for a node's report; empty for any other.

    Raises IncompatibleModelError where temporal layers do not work on it.
    """
    version = host_version()
    if not is_newer_than_tested(version):
        return ""
    wrong = verdict()
    if wrong is not None:
        raise IncompatibleModelError(
            f"Temporal layers cannot be used on ComfyUI {version}: in a check of this pack on it, {wrong}. "
            f"Update the pack, or use ComfyUI {TESTED[-1]}, the newest version that it was tested on."
        )
    return (
        f"Host: ComfyUI {version} is newer than {TESTED[-1]}, the newest tested version; a check of "
        "temporal layers passed"
    )


def with_host(report: str, host: str) -> str:
    """A report with the line on the host, where there is something to say."""
    return f"{report}\n{host}" if host else report


@functools.cache
def verdict() -> str | None:
    """Fault of temporal layers on this host; None: nothing is wrong."""
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        try:
            return next(_faults(), None)
        except BROKEN as error:
            logger.warning("the check of temporal layers ended early", exc_info=True)
            return f"{type(error).__name__} was raised ({str(error).partition(chr(10))[0]})"


def _faults() -> Iterator[str]:
    rig = TinyRig.made()
    image, still = rig.run(None), rig.run(0.0)
    if not torch.equal(image, still):
        yield "layers of strength 0 changed the image model"
    if any(module._forward_hooks or module._forward_pre_hooks for module in rig.base.modules()):
        yield "something was left behind in the image model"
    moved = rig.run(1.0)
    if not torch.isfinite(moved).all() or torch.allclose(image, moved, atol=SAME):
        yield "layers of strength 1 changed nothing"
    other = rig.run(1.0, changed=2 * FRAMES - 1)  # the last frame of uncond
    if not torch.allclose(moved[:FRAMES], other[:FRAMES], atol=SAME):
        yield "prompt and negative prompt were mixed"
    if torch.allclose(moved[FRAMES], other[FRAMES], atol=SAME):
        yield "frames did not see each other"


@dataclass(frozen=True, eq=False)
class TinyRig:
    """A tiny image model of the host, tiny temporal layers, and what goes through them."""

    base: BaseModel
    model: Any
    layers: Any
    latents: Tensor
    text: Tensor

    @classmethod
    def made(cls) -> TinyRig:
        """With random weights that are always the same."""
        numbers = torch.Generator().manual_seed(0)
        config = comfy.supported_models.SD15(UNET)
        config.set_inference_dtype(torch.float32, None)
        base = BaseModel(config, device=torch.device("meta"))
        kind = type(base.diffusion_model)
        _fill(
            base.diffusion_model, shapes_of(lambda ops: kind(**config.unet_config, operations=ops)), numbers
        )
        model = _patcher(base)
        described = StackConfig(unet_shape(model), "test", 8, known_frames=False, frame_rate=False)
        stack = TemporalStack(described, ops=comfy.ops.manual_cast, device="meta")
        _fill(stack, stack.shapes, numbers)
        latents = torch.randn(2 * FRAMES, 4, SIZE, SIZE, generator=numbers)
        return cls(base, model, _patcher(stack), latents, torch.randn(2 * FRAMES, 3, TEXT, generator=numbers))

    def run(self, strength: float | None, changed: int | None = None) -> Tensor:
        """One call as the sampler makes it, with other numbers in the `changed` frame.

        None: the image model alone.
        """
        latents = self.latents.clone()
        if changed is not None:
            latents[changed] += 1
        model = self.model
        if strength is not None:
            model = add_temporal_layers(model, self.layers, LayerSettings(strength=strength))
        self.base.current_patcher = model
        options = {"cond_or_uncond": [0, 1], "wrappers": model.wrappers}
        sigma = torch.full((len(latents),), 1.0)
        return self.base.apply_model(latents, sigma, c_crossattn=self.text, transformer_options=options)


def _patcher(module: nn.Module) -> Any:
    cpu = torch.device("cpu")
    return ModelPatcher(module.eval(), load_device=cpu, offload_device=cpu)


def _fill(module: nn.Module, shapes: Any, numbers: torch.Generator) -> None:
    """Random weights, put in as those of a file."""
    weights = {key: 0.3 * torch.randn(shape, generator=numbers) for key, shape in shapes.items()}
    module.load_state_dict(weights, assign=True)
