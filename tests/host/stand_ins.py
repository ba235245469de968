"""Tiny files under the names that graphs have.

The toy checkpoint for any checkpoint, motion modules of its size, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from video_ldm.demo import environment
from video_ldm.temporal.decoder import TAESD, DecoderConfig, TemporalDecoder, save_decoder
from video_ldm.temporal.formats import convert, load_stack
from video_ldm.temporal.formats.facts import FACTS
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.stack.plan import UNetShape
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.upscaler import save_upscaler
from video_ldm.tests.temporal.upscaler.tiny import random_upscaler

TOY = environment.REPO / "demo" / "models"
# graph: family of its layers, base, module in the middle block, length of the table, spelling
FAMILIES = {
    "animatediff_v2": ("AnimateDiff v2", "SD 1.x", True, 32, "original"),
    "animatediff_v3": ("AnimateDiff v3", "SD 1.x", False, 32, "original"),
    "animatediff_sdxl": ("AnimateDiff SDXL beta", "SDXL", False, 32, "original"),
    "animatediff_lightning": ("AnimateDiff v2", "SD 1.x", True, 32, "diffusers"),
    "animatelcm": ("AnimateLCM", "SD 1.x", True, 64, "original"),
    "hotshot_xl": ("HotShot-XL", "SDXL", False, 24, "hotshot"),
}


def toy_shape() -> UNetShape:
    """Of the toy checkpoint's UNet."""
    return load_stack(TOY / "toy_temporal.safetensors").config.unet


def bases(name: str, formats: Any) -> dict[int, tuple[str, Any]]:
    """Bases that motion modules of the toy checkpoint's size are for, by levels.

    `formats` is the host's copy.
    """
    shape = formats.load_stack(TOY / "toy_temporal.safetensors").config.unet
    return {len(shape.channel_mult): (FAMILIES[name][1], shape)}


def write_layers(path: Path, name: str) -> None:
    """Random motion modules of a graph's family, for the toy checkpoint."""
    family, base, middle, length, spelling = FAMILIES[name]
    facts = FACTS[family]
    motion = MotionConfig(middle, facts.clip_norm, facts.clip_norm_image)
    config = StackConfig(toy_shape(), base, length, False, False, family=family, motion=motion)
    torch.manual_seed(0)
    convert.write(path, TemporalStack(config), spelling)
    _as_its_name_says(path)


def write_lora(path: Path) -> None:
    """A LoRA of one layer of the toy checkpoint."""
    place = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"
    save_file(
        {f"{place}.lora_up.weight": torch.ones(64, 2), f"{place}.lora_down.weight": torch.ones(2, 64)}, path
    )
    _as_its_name_says(path)


def write_gligen(path: Path) -> None:
    """GLIGEN's layers for the toy checkpoint, random: one for each of its transformers."""
    from comfy.gligen import GatedSelfAttentionDense, PositionNet

    toy, text = load_file(TOY / "toy_sd.safetensors"), toy_shape().context_dim
    torch.manual_seed(0)
    weights: dict[str, Tensor] = {}
    for key, weight in toy.items():
        place = key.removeprefix("model.diffusion_model.").removesuffix(".attn1.to_q.weight")
        if key.endswith(".attn1.to_q.weight") and ".transformer_blocks." in key:
            channels = len(weight)
            fuser = GatedSelfAttentionDense(channels, text, max(1, channels // 64), 64)
            weights |= {f"{place}.fuser.{name}": value for name, value in fuser.state_dict().items()}
    weights |= {f"position_net.{name}": value for name, value in PositionNet(text, text).state_dict().items()}
    save_file({key: 0.1 * torch.randn(value.shape) for key, value in weights.items()}, path)


def write_decoder(path: Path) -> None:
    """A temporal decoder for the toy checkpoint's VAE, as it is before any training."""
    save_decoder(path, TemporalDecoder(DecoderConfig(TAESD, "SD")))


def write_video_decoder(path: Path) -> None:
    """The decoder of Stable Video Diffusion in diffusers' spelling, narrow, as it is before any training."""
    from diffusers import AutoencoderKLTemporalDecoder

    torch.manual_seed(0)
    decoder = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4, block_out_channels=(32,) * 4, layers_per_block=2
    )
    save_file(decoder.state_dict(), path)


def write_upscaler(path: Path) -> None:
    """A tiny upscaler of random weights, four times larger."""
    save_upscaler(path, random_upscaler())


def _as_its_name_says(path: Path) -> None:
    """A file named .ckpt is one that PyTorch wrote."""
    if path.suffix == ".ckpt":
        weights = {key: value.clone() for key, value in load_file(path).items()}
        path.unlink()
        torch.save({"state_dict": weights}, path)


def put(models: Path, graph: Mapping[str, Mapping[str, Any]], name: str) -> None:
    """All files that a graph names and that are not there yet."""
    makers = {
        ("CheckpointLoaderSimple", "ckpt_name"): ("checkpoints", _link("toy_sd.safetensors")),
        ("LoraLoader", "lora_name"): ("loras", write_lora),
        ("LoraLoaderModelOnly", "lora_name"): ("loras", write_lora),
        ("GLIGENLoader", "gligen_name"): ("gligen", write_gligen),
        ("VLDM_LoadTemporalLayers", "file"): ("temporal_layers", _layers(name)),
        ("VLDM_LoadTemporalDecoder", "file"): ("temporal_decoders", _decoder),
        ("VLDM_LoadVideoUpscaler", "file"): ("video_upscalers", write_upscaler),
    }
    for node in graph.values():
        for (kind, field), (folder, make) in makers.items():
            path = models / folder / str(node["inputs"].get(field))
            if node["class_type"] == kind and not path.exists():
                path.parent.mkdir(exist_ok=True)
                make(path)


def write_embedding(path: Path) -> None:
    """A textual inversion of two tokens for the toy checkpoint's text encoder."""
    with safe_open(TOY / "toy_sd.safetensors", "pt") as file:
        table = next(key for key in file.keys() if key.endswith("token_embedding.weight"))
        width = file.get_slice(table).get_shape()[1]
    path.parent.mkdir(exist_ok=True)
    save_file({"emb_params": torch.ones(2, width)}, path)


def _decoder(path: Path) -> None:
    (write_video_decoder if "svd" in path.name else write_decoder)(path)


def _layers(name: str) -> Any:
    return (
        _link("toy_temporal.safetensors") if name not in FAMILIES else lambda path: write_layers(path, name)
    )


def _link(source: str) -> Any:
    return lambda path: path.symlink_to(TOY / source)
