"""Random files of published families at the size of the toy model, in the spelling of their authors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from video_ldm.demo import environment
from video_ldm.temporal.formats import load_stack
from video_ldm.temporal.formats.convert import spelled, write
from video_ldm.temporal.formats.facts import FACTS
from video_ldm.temporal.formats.sparse_control import SPELLINGS
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.stack.plan import UNetShape
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack

TOY_LAYERS = environment.REPO / "demo" / "models" / "toy_temporal.safetensors"
# name in the graphs: family, module in the middle block, length of its table, how it sees an image
STACKS = {
    "pia.ckpt": ("PIA", False, 32, "affinity"),
    "AnimateLCM_sd15_i2v.ckpt": ("AnimateLCM-I2V", True, 64, "encoder"),
    "v3_sd15_mm.ckpt": ("AnimateDiff v3", False, 32, None),
    "mm_sd_v15_v2.ckpt": ("AnimateDiff v2", True, 32, None),
    "mm_sd_v15.ckpt": ("AnimateDiff v1", False, 24, None),
    "AnimateLCM_sd15_t2v.ckpt": ("AnimateLCM", True, 64, None),
}
MOTION_LORAS = ("v2_lora_ZoomIn.ckpt", "v2_lora_PanLeft.ckpt")
IMAGE_LORA = "AnimateLCM_sd15_i2v_lora.safetensors"
SPARSE = "v3_sd15_sparsectrl_rgb.ckpt"


def write_families(models: Path) -> UNetShape:
    """Every file that the graphs name, below the host's folder of models; the shape of the toy model."""
    toy = load_stack(TOY_LAYERS, device="meta").config.unet
    for name, (family, middle, length, image) in STACKS.items():
        facts = FACTS[family]
        motion = MotionConfig(middle, facts.clip_norm, facts.clip_norm_image)
        config = StackConfig(toy, "SD 1.x", length, False, False, family, motion=motion, image=image)
        write(models / "temporal_layers" / name, random(TemporalStack(config)), "original")
    attention = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0"
    factors = {"down": torch.ones(2, 64), "up": torch.ones(64, 2)}
    lora = {f"{attention}.processor.to_q_lora.{leaf}.weight": factor for leaf, factor in factors.items()}
    place = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"
    image_lora = {f"{place}.lora_{leaf}.weight": factor for leaf, factor in factors.items()}
    saved(models / "loras" / IMAGE_LORA, image_lora)
    for name in MOTION_LORAS:
        saved(models / "motion_lora" / name, lora)
    saved(models / "controlnet" / SPARSE, sparse_control(toy))
    return toy


def random(module: torch.nn.Module) -> torch.nn.Module:
    """Small random weights."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.02)
    return module


def saved(path: Path, weights: dict[str, Tensor]) -> None:
    """Write a file and the folder it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: weight.detach().contiguous() for key, weight in weights.items()}, path)


def sparse_control(toy: UNetShape) -> dict[str, Tensor]:
    """SparseCtrl for RGB frames: weights by the names in files."""
    import comfy.ops
    from video_ldm.nodes.host.layers.sparse_control import SparseControlModel, names_in_files
    from video_ldm.temporal.formats.sparse_control import SparseControlFile

    motion = MotionConfig(False, False, False, control=True)
    stack = TemporalStack(StackConfig(toy, "SD 1.x", 32, False, False, "SparseCtrl", motion=motion))
    made = {"dtype": torch.float32, "device": "cpu", "operations": comfy.ops.disable_weight_init}
    model = random(SparseControlModel("rgb", stack, **made))
    own = model.state_dict()
    names = names_in_files(SparseControlFile("rgb", stack, {}, ""))
    return dict(spelled(stack, SPELLINGS[0])) | {
        theirs: own[ours] for theirs, ours in names.items() if ours in own
    }


@contextmanager
def published(host: Any) -> Iterator[None]:
    """The files in a booted host, which takes the toy model for SD 1.x."""
    bases, toy = host.pack("temporal.formats.motion_modules").BASES, write_families(host.base / "models")
    levels = len(toy.channel_mult)
    kept = bases.get(levels)
    bases[levels] = ("SD 1.x", host.pack("temporal.stack.plan").UNetShape(**vars(toy)))
    try:
        yield
    finally:
        del bases[levels]
        if kept is not None:
            bases[levels] = kept
