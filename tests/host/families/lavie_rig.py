"""Tiny files of LaVie's families, with exactly the keys that are published, and the host told of their sizes.

The reference is tests/reference_lavie_unet.py. Shapes: b chunks, f frames, c channels, h w size (odd on
purpose).
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from video_ldm.temporal.stack.plan import X4
from video_ldm.tests.reference_lavie_unet import Network, unet

LISTINGS = Path(__file__).parents[2] / "temporal" / "formats" / "listings.json.xz"
SIZE, TEXT, HEADS = (9, 7), 24, 2
TINY_X4 = replace(X4, model_channels=32, context_dim=128, num_heads=HEADS)
PLAIN, CAUSAL = Network(HEADS), Network(HEADS, causal=True)
UPSCALER = Network(HEADS, cross_levels=(0, 1, 2))


@dataclass
class Call:
    """One call of the host's UNet: what went in and came out."""

    x: Tensor
    timesteps: Tensor
    context: Tensor
    y: Tensor | None
    out: Tensor


def tiny_weights(listing: str, text: int = TEXT) -> dict[str, Tensor]:
    """Random weights under the keys of a published file, a tenth as wide, with two heads.

    Upscalers are an eighth as wide.
    """
    shapes = json.loads(lzma.decompress(LISTINGS.read_bytes()))[listing]
    upscaler = "class_embedding.weight" in shapes
    generator = torch.Generator().manual_seed(0)

    def narrow(size: int) -> int:
        if size == 768 and not upscaler:
            return text
        return size // (8 if upscaler else 10) if size >= 256 and size != 1000 else size

    def weight(key: str, shape: list[int]) -> Tensor:
        if key.endswith("rotary_emb.freqs"):
            return 10000 ** (-torch.arange(16) / 16)
        size = [32, HEADS] if key.endswith("relative_attention_bias.weight") else map(narrow, shape)
        return torch.randn(*size, generator=generator) * 0.05 + (
            key.endswith("weight") and "norm" in key and 1.0
        )

    return {key: weight(key, shape) for key, shape in shapes.items()}


def tell_host(monkeypatch: Any, formats: Any, text: int = TEXT) -> None:
    """Put families in a size for tests into the pack's module of formats.

    The host is told of their networks as of any other model.
    """
    import comfy.supported_models as supported

    def tiny(kind: type, name: str, width: int) -> type:
        sizes = {**kind.unet_config, "context_dim": width, "model_channels": 32}
        extra = {**kind.unet_extra_config, "num_heads": HEADS}
        return type(name, (kind,), {"unet_config": sizes, "unet_extra_config": extra})

    kinds = [
        tiny(supported.SD15, "TinySD1", text),
        tiny(supported.SD_X4Upscaler, "TinyX4", TINY_X4.context_dim),
    ]
    monkeypatch.setattr(supported, "models", [*supported.models, *kinds])

    def narrow(family: Any) -> Any:
        width = TINY_X4.context_dim if family.unet.model_channels == X4.model_channels else text
        unet = replace(family.unet, model_channels=32, context_dim=width, num_heads=HEADS)
        return replace(family, unet=unet)

    families = tuple(narrow(f) if hasattr(f, "unet") else f for f in formats.FAMILIES)
    monkeypatch.setattr(formats, "FAMILIES", families)


def as_lavie(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of Upscale-A-Video under the names of LaVie's upscaler, which the reference knows."""
    names = {
        "temp_block": "temporal_block",
        "resblocks_3d_temporal": "resblocks_3d_t",
        "resblocks_3d_spatial": "resblocks_3d_s",
    }
    found = {}
    for key, weight in weights.items():
        for name, other in names.items():
            key = key.replace(name, other)
        found[key] = weight
    return found


def upscaler_image(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The image weights in an upscaler's file, named for the host by the host's own table."""
    import comfy.utils

    config = {name: list(getattr(TINY_X4, name)) for name in ("num_res_blocks", "channel_mult")}
    config |= {
        name: list(getattr(TINY_X4, name)) for name in ("transformer_depth", "transformer_depth_output")
    }
    names = comfy.utils.unet_to_diffusers({**config, "transformer_depth_middle": 1})
    names["class_embedding.weight"] = "label_emb.weight"
    return {names[key]: weight.clone() for key, weight in weights.items() if key in names}


def upscaler_model(weights: dict[str, Tensor]) -> Any:
    """MODEL of the image weights in an upscaler's file."""
    import comfy.sd

    return comfy.sd.load_diffusion_model_state_dict(upscaler_image(weights))


def known_clip(frames: int, given: tuple[int, ...]) -> dict:
    """A LATENT of zeros with some frames given."""
    from video_ldm.nodes.host.sampling.known import with_frames

    latent = {"samples": torch.zeros(frames, 4, *SIZE)}
    latents = torch.randn(len(given), 4, *SIZE, generator=torch.Generator().manual_seed(2))
    return (
        with_frames(latent, latents, tuple(zip(given, range(len(given)), strict=True))) if given else latent
    )


def sample(model: Any, latent: dict, **settings: Any) -> Tensor:
    """The clip denoised by Video KSampler with random texts (f c h w)."""
    from video_ldm.nodes.host.sampling.clip import SamplerSettings, sample_clip

    width = model.model.model_config.unet_config["context_dim"]
    generator = torch.Generator().manual_seed(1)
    texts = [[[torch.randn(1, 7, width, generator=generator), {}]] for _ in range(2)]
    chosen = {
        **{"seed": 1, "steps": 1, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal", "fps": 8.0},
        **settings,
    }
    with torch.inference_mode():
        return sample_clip(model, *texts, latent, SamplerSettings(**chosen), None)["samples"]


@contextmanager
def watched(model: Any) -> Iterator[list[Call]]:
    """Inputs and outputs of the UNet while something runs, cond and uncond together."""
    calls = []

    def keep(_unet: nn.Module, args: tuple, kwargs: dict, out: Tensor) -> None:
        calls.append(Call(args[0], args[1], kwargs["context"], kwargs.get("y"), out))

    handle = model.model.diffusion_model.register_forward_hook(keep, with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


def one_call(model: Any, latent: dict, **settings: Any) -> Call:
    """The first call of one sampling step."""
    return all_calls(model, latent, **settings)[0]


def all_calls(model: Any, latent: dict, **settings: Any) -> list[Call]:
    """The calls of one sampling step."""
    with watched(model) as calls:
        sample(model, latent, **settings)
    return calls


def reference_out(weights: dict[str, Tensor], net: Network, call: Call, frames: int) -> Tensor:
    """Output of the reference for a call."""
    x = rearrange(call.x, "(b f) c h w -> b c f h w", f=frames)
    label = None if call.y is None else call.y[::frames]
    with torch.no_grad():
        out = unet(weights, net, x, call.timesteps[::frames], call.context[::frames], label)
    return rearrange(out, "b c f h w -> (b f) c h w")


def error(out: Tensor, expected: Tensor) -> float:
    """Size of the difference over the size of what was expected."""
    return ((out - expected).norm() / expected.norm()).item()


def hooks_left(model: Any) -> int:
    """Hooks registered anywhere in the image model."""
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.model.modules()
    )
