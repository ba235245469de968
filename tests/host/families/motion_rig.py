"""Tiny image models in the host with diffusers' UNetMotionModel of the same random weights beside them.

The reference is code that is not ours. `as_original` writes its motion modules in the spelling of
AnimateDiff's authors, after their code and not after our key maps. Shapes: b chunks, f frames, c channels, h
w size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional
from video_ldm.temporal.stack.plan import UNetShape

FRAMES = 5
SIZE = (16, 8)
TINY_SD1 = UNetShape(
    model_channels=32,
    channel_mult=(1, 2, 2, 2),
    num_res_blocks=(2, 2, 2, 2),
    transformer_depth=(1, 1, 1, 1, 1, 1, 0, 0),
    transformer_depth_output=(1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0),
    transformer_depth_middle=1,
    context_dim=24,
    num_heads=8,
)
TINY_SDXL = UNetShape(
    model_channels=32,
    channel_mult=(1, 2, 2),
    num_res_blocks=(2, 2, 2),
    transformer_depth=(0, 0, 1, 1, 2, 2),
    transformer_depth_output=(0, 0, 0, 1, 1, 1, 2, 2, 2),
    transformer_depth_middle=2,
    context_dim=24,
    num_head_channels=8,
)
SHAPES = {"SD 1.x": TINY_SD1, "SDXL": TINY_SDXL}


@dataclass
class Call:
    """One call of the host's UNet: what went in and came out."""

    x: Tensor
    timesteps: Tensor
    context: Tensor
    y: Tensor | None
    out: Tensor


def reference_unet(base: str, middle: bool, max_frames: int, **config: Any) -> Any:
    """diffusers' UNetMotionModel with random weights in which every one counts."""
    from diffusers import UNetMotionModel

    sd1 = {
        "num_attention_heads": 8,
        "block_out_channels": (32, 64, 64, 64),
        "down_block_types": (*["CrossAttnDownBlockMotion"] * 3, "DownBlockMotion"),
        "up_block_types": ("UpBlockMotion", *["CrossAttnUpBlockMotion"] * 3),
    }
    sdxl = {
        "num_attention_heads": (4, 8, 8),
        "block_out_channels": (32, 64, 64),
        "down_block_types": ("DownBlockMotion", *["CrossAttnDownBlockMotion"] * 2),
        "up_block_types": (*["CrossAttnUpBlockMotion"] * 2, "UpBlockMotion"),
        "transformer_layers_per_block": (1, 1, 2),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    }
    torch.manual_seed(0)
    unet = UNetMotionModel(
        **(sd1 if base == "SD 1.x" else sdxl),
        cross_attention_dim=24,
        motion_max_seq_length=max_frames,
        use_motion_mid_block=middle,
        **config,
    ).eval()
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return unet


def host_model(base: str, unet: Any) -> Any:
    """MODEL with the spatial weights of a reference, built by the host's own classes."""
    import comfy.model_management as mm
    import comfy.model_patcher
    import comfy.supported_models as supported
    import comfy.utils

    shape = SHAPES[base]
    kind = supported.SD15 if base == "SD 1.x" else supported.SDXL
    listed = ("channel_mult", "num_res_blocks", "transformer_depth", "transformer_depth_output")
    config = {
        **{name: list(getattr(shape, name)) for name in listed},
        **{"model_channels": shape.model_channels, "context_dim": shape.context_dim},
        **{"num_heads": shape.num_heads, "num_head_channels": shape.num_head_channels},
        **{"transformer_depth_middle": shape.transformer_depth_middle, "use_spatial_transformer": True},
        **{"image_size": 32, "in_channels": 4, "out_channels": 4, "legacy": False},
        **kind.unet_config,
        **{"model_channels": shape.model_channels, "context_dim": shape.context_dim},
        "transformer_depth": list(shape.transformer_depth),
    }
    if base == "SDXL":
        config["num_classes"] = "sequential"
    model_config = kind(dict(config))
    model_config.unet_config = config
    model_config.set_inference_dtype(torch.float32, None)
    model = model_config.get_model({}, "")
    names = comfy.utils.unet_to_diffusers(config)
    weights = {names[key]: weight for key, weight in unet.state_dict().items() if key in names}
    first = "input_blocks.0.0.weight"
    weights[first] = weights[first][:, :4]  # PIA's convolution sees more, which is no part of an image model
    model.diffusion_model.load_state_dict(weights)
    return comfy.model_patcher.ModelPatcher(model, mm.get_torch_device(), mm.unet_offload_device())


def one_call(model: Any, frames: int = FRAMES) -> Call:
    """Sample one step of a clip through the host, and keep what its UNet saw and gave.

    Conditional and unconditional stand together.
    """
    import comfy.sample

    conds = conditions()
    noise, latent = torch.randn(frames, 4, *SIZE), torch.zeros(frames, 4, *SIZE)
    with calls_of(model) as calls, torch.inference_mode():
        comfy.sample.sample(model, noise, 1, 3.0, "euler", "normal", *conds, latent, disable_pbar=True)
    return calls[0]


def one_video_call(model: Any, latent: dict) -> tuple[Call, dict]:
    """A call through Video KSampler, and the LATENT that came out."""
    from video_ldm.nodes.host.sampling.clip import SamplerSettings, sample_clip

    settings = SamplerSettings(seed=1, steps=1, cfg=3.0, sampler_name="euler", scheduler="normal", fps=8.0)
    with calls_of(model) as calls, torch.inference_mode():
        made = sample_clip(model, *conditions(), latent, settings, None)
    return calls[0], made


def conditions() -> list:
    """CONDITIONING of two texts, the same every time."""
    torch.manual_seed(1)
    return [[[torch.randn(1, 7, 24), {"pooled_output": torch.randn(1, 1280)}]] for _ in range(2)]


@contextmanager
def calls_of(model: Any) -> Iterator[list[Call]]:
    """Inputs and outputs of a MODEL's UNet in the meantime."""
    calls = []

    def keep(_unet: nn.Module, args: tuple, kwargs: dict, out: Tensor) -> None:
        calls.append(Call(args[0], args[1], kwargs["context"], kwargs.get("y"), out))

    handle = model.model.diffusion_model.register_forward_hook(keep, with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


def reference_out(unet: Any, call: Call, frames: int = FRAMES, beside: Tensor | None = None) -> Tensor:
    """Output of the reference for a call; `beside` are more channels of its input ((b f) c h w)."""
    extra = {}
    if call.y is not None:  # the host embeds sizes itself: hand diffusers what it made
        unet.add_time_proj.forward = lambda values: values[:, None]
        y = call.y[::frames]
        extra = {"added_cond_kwargs": {"text_embeds": y[:, :1280], "time_ids": y[:, 1280:]}}
    with torch.no_grad():
        x = call.x if beside is None else torch.cat([call.x, beside], dim=1)
        x = rearrange(x, "(b f) c h w -> b c f h w", f=frames)
        out = unet(x, call.timesteps[0], call.context, **extra).sample
    return rearrange(out, "b c f h w -> (b f) c h w")


def norms_of_the_original(unet: Any, clip_norm: bool, clip_norm_image: bool) -> None:
    """Give diffusers' norms the statistics of the original code.

    Diffusers takes (clip, frame) for every family.
    """
    for name, module in unet.named_modules():
        if not isinstance(module, nn.GroupNorm):
            continue
        if name.endswith(".norm") and "motion_modules" in name and not clip_norm:
            module.forward = partial(_each_frame, module)
        resnet = name.endswith((".norm1", ".norm2")) and ".resnets." in name
        if clip_norm_image and (resnet or name == "conv_norm_out"):
            module.forward = partial(_whole_clip, module)


def _each_frame(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    frames = rearrange(x, "b c f h w -> (b f) c h w")
    normed = functional.group_norm(frames, norm.num_groups, norm.weight, norm.bias, norm.eps)
    return rearrange(normed, "(b f) c h w -> b c f h w", f=x.shape[2])


def _whole_clip(norm: nn.GroupNorm, x: Tensor) -> Tensor:
    clips = rearrange(x, "(b f) c h w -> b c f h w", b=2)  # cond and uncond
    normed = functional.group_norm(clips, norm.num_groups, norm.weight, norm.bias, norm.eps)
    return rearrange(normed, "b c f h w -> (b f) c h w")


def motion_weights(unet: Any) -> dict[str, Tensor]:
    """A MotionAdapter file: the motion modules of a reference, in diffusers' spelling."""
    return {key: value.clone() for key, value in unet.state_dict().items() if ".motion_modules." in key}


def as_original(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights in the spelling of AnimateDiff."""
    found = {}
    for key, value in weights.items():
        key = re.sub(r"(motion_modules\.\d+\.)", r"\1temporal_transformer.", key)
        key = re.sub(r"\.attn([12])\.", lambda m: f".attention_blocks.{int(m[1]) - 1}.", key)
        key = re.sub(r"\.norm([12])\.", lambda m: f".norms.{int(m[1]) - 1}.", key).replace(
            ".norm3.", ".ff_norm."
        )
        if key.endswith("pos_embed.pe"):
            block = key.removesuffix("pos_embed.pe")
            found |= {f"{block}attention_blocks.{i}.pos_encoder.pe": value.clone() for i in (0, 1)}
        else:
            found[key] = value
    return found


def as_hotshot(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights in the spelling of HotShot-XL."""
    return {
        key.replace("motion_modules", "temporal_attentions")
        .replace("temporal_transformer.", "")
        .replace("pos_encoder.pe", "pos_encoder.positional_encoding"): value
        for key, value in as_original(weights).items()
    }


def without_tables(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The original spelling as AnimateLCM has it."""
    return {key: value for key, value in as_original(weights).items() if not key.endswith(".pe")}


Spell = Callable[[dict[str, Tensor]], dict[str, Tensor]]
