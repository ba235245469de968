"""`python -m video_ldm.training lora` at full size: SD 1.5 with AnimateDiff v2, as they are published.

One step of the looks and one of the motion on a CPU. The weights are random.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from video_ldm.benchmarks.cost.models import host_config
from video_ldm.demo import environment
from video_ldm.temporal.formats import convert
from video_ldm.temporal.formats.motion_lora import read_motion_lora
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.stack.plan import SD1
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.weights.files import read_weights

from .test_command import write_video

MOTION = MotionConfig(middle=True, clip_norm=False, clip_norm_image=False)
LAYERS = StackConfig(SD1, "SD 1.x", 32, False, False, "AnimateDiff v2", motion=MOTION)
VAE = {"double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128}
VAE |= {"ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0}
COMMAND = (
    "--frames 2 --size 64x64 --steps 1 --looks-steps 1 --warmup 1 --batch 1 --rank 4 --cpu --threads 1 "
    "--memory fast --validate-every 0"
).split()


def parts() -> dict[str, nn.Module]:
    """Networks of an SD 1.5 checkpoint without their weights, by the beginning of their names in files."""
    import comfy.ops
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from transformers import CLIPTextConfig, CLIPTextModel

    with torch.device("meta"):
        config: dict[str, Any] = {**host_config(SD1), "operations": comfy.ops.disable_weight_init}
        text = CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12))
        return {
            "model.diffusion_model.": UNetModel(**config),
            "first_stage_model.": AutoencoderKL(ddconfig=VAE, embed_dim=4),
            "cond_stage_model.transformer.text_model.": getattr(text, "text_model", text),
        }


def block() -> Tensor:
    """Random numbers (8 million), which every weight is made of: drawing all of them takes a minute."""
    return (0.02 * torch.randn(2**23, generator=torch.Generator().manual_seed(0))).half()


def write_checkpoint(path: Path) -> None:
    """SD 1.5 in half precision, piece by piece, so that it is never in memory."""
    header, end = {}, 0
    for start, module in parts().items():
        for name, weight in module.state_dict().items():
            begin, end = end, end + 2 * math.prod(weight.shape)
            header[start + name] = {"dtype": "F16", "shape": list(weight.shape), "data_offsets": [begin, end]}
    text, numbers = json.dumps(header).encode(), block().numpy().tobytes()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for begin in range(0, end, len(numbers)):
            file.write(numbers[: end - begin])


def write_layers(path: Path) -> None:
    """Motion modules of AnimateDiff v2 in their authors' spelling, in half precision."""
    with torch.device("meta"):
        stack = TemporalStack(LAYERS, dtype=torch.float16)
    stack.to_empty(device="cpu")
    numbers = block()
    for weight in stack.parameters():
        flat = weight.data.view(-1)
        for begin in range(0, len(flat), len(numbers)):
            piece = flat[begin : begin + len(numbers)]
            piece.copy_(numbers[: len(piece)])
    convert.write(path, stack, "original")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that is gone after the test: it takes 3 GB, and pytest keeps those of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.slow
def test_a_motion_lora_of_animatediff_v2_on_sd_15_by_the_command(host, folder):
    checkpoint, layers, clips = folder / "v1-5.safetensors", folder / "mm_sd_v15_v2.ckpt", folder / "clips"
    out = folder / "my_motion.safetensors"
    write_checkpoint(checkpoint)
    write_layers(layers)
    clips.mkdir()
    write_video(clips / "a.mp4", 3)
    files = ("--checkpoint", checkpoint, "--layers", layers, "--clips", clips, "--out", out)
    words = [*map(str, files), "--trigger", "slow zoom", "--comfyui", str(environment.host_path()), *COMMAND]
    command = [sys.executable, "-m", "video_ldm.training", "lora", *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "mm_sd_v15_v2.ckpt was trained with sqrt_linear betas" in done.stderr
    with torch.device("meta"):
        stack = TemporalStack(LAYERS)
    found = read_motion_lora(read_weights(out), stack)
    assert len(found.targets) == 21 * 2 * 4  # modules, attentions, queries to outputs
    learned = [value for name, value in found.factors.items() if "lora_up" in name]
    assert all(value.isfinite().all() and value.abs().max() > 0 for value in learned)
