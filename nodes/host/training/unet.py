"""The host's UNet in training: frozen, compiled, and as a function of noisy latents.

Shapes: noisy ((b f) c h w); t ((b f),); text (b m e); pooled (b p).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import comfy.model_management as mm
import comfy.ops
import torch
from comfy.ldm.modules.attention import BasicTransformerBlock
from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock
from einops import repeat
from torch import Tensor, nn
from torch.func import functional_call

from ....temporal.sampling.clip import Clip, sdpa
from ....temporal.stack.stack import TemporalStack
from ....temporal.training.data.conditions import NOTHING, Conditions
from ....temporal.training.loop import Denoise
from ..layers.hooks import inserted
from ..patcher import original_weights

Vector = Callable[[Tensor, int, int], Tensor]  # pooled text (b p), width, height -> (b a)
PIXELS = 8  # a side of what one place of a latent stands for


def frozen_unet(model: Any, dtype: torch.dtype | None = None) -> Any:
    """The MODEL's UNet on its device, frozen, with weights that autograd accepts.

    Optionally in another precision.

    The host loads under `torch.inference_mode`, whose tensors cannot take part in a backward pass: those are
    copied.
    """
    if getattr(model, "is_dynamic", bool)():  # weights that come and go cannot wait for a backward pass
        model = model.get_non_dynamic_delegate()
    mm.load_models_gpu([model], force_full_load=True)
    unet = model.model.diffusion_model
    with torch.inference_mode(False), torch.no_grad():
        for module in unet.modules():
            for name, parameter in list(module._parameters.items()):
                if parameter is not None and (
                    parameter.is_inference() or parameter.requires_grad or dtype is not None
                ):
                    value = parameter.detach().to(dtype) if dtype is not None else parameter.detach().clone()
                    module._parameters[name] = nn.Parameter(value, requires_grad=False)
        if dtype is not None:
            unet.dtype = dtype
    return unet


def private_unet(model: Any, dtype: torch.dtype, device: torch.device) -> nn.Module:
    """A UNet like that of a MODEL, frozen, with weights of its own as they came from the file.

    The MODEL of a graph is not the training's to change.
    """
    unet = empty_unet(model, dtype, device)
    weights = {
        name.removeprefix("diffusion_model."): weight
        for name, weight in original_weights(model).items()
        if name.startswith("diffusion_model.")
    }
    with torch.inference_mode(False), torch.no_grad():
        unet.load_state_dict({name: weight.detach().clone() for name, weight in weights.items()})
    return unet.requires_grad_(False)


def empty_unet(model: Any, dtype: torch.dtype, device: torch.device | str) -> Any:
    """A UNet like that of a MODEL, without numbers."""
    config = {**model.model.model_config.unet_config, "dtype": dtype}
    kind = type(model.model.diffusion_model)
    return kind(**config, device=device, operations=comfy.ops.disable_weight_init).eval()


def denoiser(unet: Any, vector: Vector | None = None, kept: ExitStack | None = None) -> Denoise:
    """The UNet with temporal layers as a function of noisy latents.

    The host may move its weights away between calls.

    In training the layers stay in the UNet until `kept` is closed, after the backward pass.
    """

    def denoise(
        noisy: Tensor,
        t: Tensor,
        text: Tensor,
        stack: TemporalStack,
        clip: Clip,
        conditions: Conditions = NOTHING,
    ) -> Tensor:
        given: dict[str, Any] = {"transformer_options": {}}
        if next(unet.parameters()).device != noisy.device:
            unet.to(noisy.device)
        # not the host's: that chooses by free memory, and has to do the same when it is computed again
        given["transformer_options"]["optimized_attention_override"] = plain_attention
        if vector is not None and conditions.pooled is not None:
            y = vector(conditions.pooled, PIXELS * noisy.shape[-1], PIXELS * noisy.shape[-2]).to(
                noisy.device, unet.dtype
            )
            given["y"] = repeat(y, "b a -> (b f) a", f=clip.num_frames)
        elif conditions.level is not None:
            given["y"] = conditions.level
        if conditions.low_res is not None:
            noisy = torch.cat([noisy, conditions.low_res], dim=1)
        given["context"] = repeat(text, "b m e -> (b f) m e", f=clip.num_frames).to(unet.dtype)
        with ExitStack() as layers:
            place = kept if kept is not None and torch.is_grad_enabled() else layers
            place.enter_context(inserted(unet, stack, clip))
            if stack.image_changes is None:
                return unet(noisy.to(unet.dtype), t, **given)
            changed = dict(stack.image_changes.added_to(dict(unet.named_parameters())))
            return functional_call(unet, changed, (noisy.to(unet.dtype), t), given)

    return denoise


def plain_attention(
    _host: Any, q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None, **_kwargs: Any
) -> Tensor:
    """The temporal layers' own attention for the UNet's too.

    On a CPU its backward pass takes half the time.
    """
    return sdpa(q, k, v, heads, mask)


def blocks_of(unet: nn.Module, stack: TemporalStack) -> list[nn.Module]:
    """Every ResBlock and transformer block of a UNet, and every temporal layer."""
    blocks = [m for m in unet.modules() if isinstance(m, ResBlock | BasicTransformerBlock)]
    return [*blocks, *stack.layers.values()]


def compile_blocks(unet: nn.Module, stack: TemporalStack) -> None:
    """Compile every block of a private UNet and every temporal layer on its own.

    The hooks between them stay live.
    """
    for block in blocks_of(unet, stack):
        block.forward = torch.compile(block.forward)
