"""Tiny video models of diffusers, beside the host's own with the same weights.

`as_published` writes them in the names of the first publication, after that code and not after our key maps.
Shapes: b chunks, f frames, c channels, h w size.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from video_ldm.temporal.plan import SD2

FRAMES, SIZE, TEXT = 5, (16, 8), 24
HEAD, CHANNELS = 8, (32, 64, 64, 64)
TINY = replace(SD2, model_channels=32, channel_mult=(1, 2, 2, 2), context_dim=TEXT, num_head_channels=HEAD)


@dataclass
class Call:
    """One call of the host's UNet: what went in and came out."""

    x: Tensor
    timesteps: Tensor
    context: Tensor
    y: Tensor | None
    out: Tensor


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights in which every one counts."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return module.eval()


def modelscope() -> Any:
    """diffusers' UNet3DConditionModel, the network of ModelScope and ZeroScope."""
    from diffusers import UNet3DConditionModel

    torch.manual_seed(0)
    unet = UNet3DConditionModel(
        block_out_channels=CHANNELS, cross_attention_dim=TEXT, attention_head_dim=HEAD
    )
    return randomised(unet)


def modelscope_as_published(unet: Any) -> dict[str, Tensor]:
    """The weights of the reference under ModelScope's own names."""
    return {_original(key): _conv1d(key, value) for key, value in unet.state_dict().items()}


def _conv1d(key: str, value: Tensor) -> Tensor:
    temporal = "temp_attentions" in key or key.startswith("transformer_in")
    is_projection = temporal and key.endswith(("proj_in.weight", "proj_out.weight"))
    return value[:, :, None].clone() if is_projection else value.clone()


def _original(key: str) -> str:
    for name, other in (
        ("time_embedding.linear_1", "time_embed.0"),
        ("time_embedding.linear_2", "time_embed.2"),
        ("transformer_in", "input_blocks.0.1"),
        ("conv_in", "input_blocks.0.0"),
        ("conv_norm_out", "out.0"),
        ("conv_out", "out.2"),
    ):
        if key.startswith(f"{name}."):
            return key.replace(name, other, 1)
    place, rest = re.match(r"(\w+_blocks?(?:\.\d+)?)\.(.+)", key).groups()
    kind, index, leaf = re.match(r"(\w+)\.(\d+)\.(.+)", rest).groups()
    block, first = _block(place, kind, int(index))
    leaf = leaf if kind.endswith("attentions") else _resnet(leaf)
    child = {"resnets": 0, "temp_convs": 0, "attentions": 1, "temp_attentions": 2}
    if kind == "downsamplers":
        return f"{block}.op.{leaf.removeprefix('conv.')}"
    if kind == "upsamplers":
        return f"{block}.{3 if place != 'up_blocks.0' else 1}.{leaf}"
    leaf = f"temopral_conv.{leaf}" if kind == "temp_convs" else leaf
    return f"{block}.{child[kind] + first}.{leaf}"


def _block(place: str, kind: str, index: int) -> tuple[str, int]:
    """The block of a layer in the first publication, and where its children begin."""
    if place == "mid_block":
        second = kind in ("resnets", "temp_convs") and index == 1
        return "middle_block", 3 if second else 0
    level = int(place.partition(".")[2])
    if place.startswith("up"):
        return f"output_blocks.{3 * level + (2 if kind == 'upsamplers' else index)}", 0
    return f"input_blocks.{3 * level + 1 + (2 if kind == 'downsamplers' else index)}", 0


def _resnet(leaf: str) -> str:
    names = {
        "norm1": "in_layers.0",
        "norm2": "out_layers.0",
        "time_emb_proj": "emb_layers.1",
        "conv_shortcut": "skip_connection",
    }
    if re.match(r"conv[12]\.(weight|bias)", leaf):
        return leaf.replace("conv1", "in_layers.2").replace("conv2", "out_layers.3")
    name, _, end = leaf.partition(".")
    return f"{names.get(name, name)}.{end}"


def one_call(model: Any, frames: int = FRAMES, positive: dict | None = None) -> Call:
    """Sample one step of a clip through the host and keep what its UNet saw and gave, cond and uncond together."""
    import comfy.sample

    calls = []

    def keep(_unet: nn.Module, args: tuple, kwargs: dict, out: Tensor) -> None:
        calls.append(Call(args[0], args[1], kwargs["context"], kwargs.get("y"), out))

    torch.manual_seed(1)
    conds = [[[torch.randn(1, 7, TEXT), dict(positive or {})]] for _ in range(2)]
    handle = model.model.diffusion_model.register_forward_hook(keep, with_kwargs=True)
    noise, latent = torch.randn(frames, 4, *SIZE), torch.zeros(frames, 4, *SIZE)
    try:
        with torch.inference_mode():
            comfy.sample.sample(model, noise, 1, 3.0, "euler", "normal", *conds, latent, disable_pbar=True)
    finally:
        handle.remove()
    return calls[0]


def modelscope_out(unet: Any, call: Call, frames: int = FRAMES) -> Tensor:
    """What the reference gives for the same call; it takes one text per clip."""
    with torch.no_grad():
        x = rearrange(call.x, "(b f) c h w -> b c f h w", f=frames)
        out = unet(x, call.timesteps[0], call.context[::frames]).sample
    return rearrange(out, "b c f h w -> (b f) c h w")


def error(out: Tensor, expected: Tensor) -> float:
    """Size of the difference over the size of what was expected."""
    return ((out - expected).norm() / expected.norm()).item()
