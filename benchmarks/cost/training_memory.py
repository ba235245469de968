"""Count the memory of a training step at full size by level, without computing anything.

    python -m video_ldm.benchmarks.cost.training_memory

Models and tensors lie on the meta device (nodes/host/training/estimate.py, which every training asks before
its first step). SD 1.x, 16 frames, batch 1, bfloat16; attention is counted as flash attention does it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ...demo.train.common import use_host
from ...temporal.layers.motion import MotionConfig
from ...temporal.stack.plan import SD1
from ...temporal.stack.stack import StackConfig
from ...temporal.training.config import TrainingConfig
from ...temporal.training.lora.config import LoraConfig
from ...temporal.training.lora.files import new_lora
from ...temporal.training.memory.levels import LEVELS, Level, Room

RESULTS = Path(__file__).resolve().parents[1] / "results" / "training_memory.json"
SIZES = (256, 512)
PROCESSES = (1, 2, 4)
LAYERS = {
    "AnimateDiff v2": StackConfig(
        SD1, "SD 1.x", 32, False, False, family="AnimateDiff v2", motion=MotionConfig(True, False, False)
    ),
    "Video LDM": StackConfig(SD1, "SD 1.x", 16, known_frames=True, frame_rate=True, positions="tokens"),
}


def image_model() -> Any:
    """The part of a MODEL of SD 1.x that the count looks at."""
    use_host()
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    config = {
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": SD1.model_channels,
        "channel_mult": SD1.channel_mult, "num_res_blocks": list(SD1.num_res_blocks),
        "transformer_depth": list(SD1.transformer_depth), "transformer_depth_middle": 1,
        "transformer_depth_output": list(SD1.transformer_depth_output), "num_heads": 8,
        "num_head_channels": -1, "use_spatial_transformer": True, "context_dim": 768,
        "use_linear_in_transformer": False, "legacy": False,
    }  # fmt: skip
    unet = UNetModel.__new__(UNetModel)  # of which only the kind is asked
    base = SimpleNamespace(
        model_config=SimpleNamespace(unet_config=config), diffusion_model=unet, adm_channels=0
    )
    return SimpleNamespace(model=base)


def main() -> None:
    model = image_model()
    from ...nodes.host.training.estimate import Step, needs

    config, rank = TrainingConfig(num_frames=16, batch=1, precision="bf16"), LoraConfig()
    rows = []
    for name, stack in LAYERS.items():
        for what, lora in (("LoRA, rank 32", lambda made: new_lora(made, rank)), ("all weights", None)):
            for size in SIZES:
                step = Step(model, stack, config, (4, size // 8, size // 8), lora)
                rooms = {level.name: needs(step, level) for level in LEVELS.values()}
                levels = {key: gib(room) for key, room in rooms.items()}
                main = {key: round(room.main / 2**30, 2) for key, room in rooms.items()}
                row = {"layers": name, "trained": what, "size": size, "gib": levels, "main_memory": main}
                rows.append(row)
                sys.stdout.write(f"{rows[-1]}\n")
                sys.stdout.flush()
    shared = shares(lambda count: Step(model, LAYERS["Video LDM"], config, (4, 64, 64), shares=count), needs)
    found = {"frames": 16, "batch": 1, "rows": rows, "shared": shared}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


def shares(step: Callable[[int], Any], needs: Callable[[Any, Level], Room]) -> list[dict[str, Any]]:
    """GiB in each process where several share out all weights (`--shard`), by level."""
    rows = []
    for count in PROCESSES:
        levels = {level.name: needs(step(count), level) for level in LEVELS.values() if level.shares}
        rows.append({"processes": count, "gib": {key: gib(room) for key, room in levels.items()}})
        sys.stdout.write(f"{rows[-1]}\n")
    return rows


def gib(room: Room) -> float:
    """GiB on the device."""
    return round(room.device / 2**30, 2)


if __name__ == "__main__":
    main()
