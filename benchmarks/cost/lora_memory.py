"""Memory and time that a motion LoRA adds to a sampling step with AnimateDiff v2 layers.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.cost.lora_memory              SD 1.5, about 12 GB
    python -m video_ldm.benchmarks.cost.lora_memory --parts 2                 half of the channels

Layers and a LoRA of random weights in half precision, steps of one prompt through ComfyUI on a CPU. Memory is
the resident size of the process after a step with the LoRA above that after a step without, once everything
else is loaded. Seconds are the processor's, of steps without and with the LoRA in turn, after one each that
is not counted. Linux only.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from . import models
from .operators import steps

NAME = "lora.safetensors"


def resident() -> int:
    """Resident bytes of this process, without what was freed already."""
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def with_lora(model: Any, folder: Path, rank: int) -> Any:
    """The MODEL behind Load Motion LoRA, with a file of random factors for attention over frames."""
    import folder_paths

    from ...nodes.host.layers.motion_lora import add_motion_lora
    from ...temporal.training.lora.config import LoraConfig
    from ...temporal.training.lora.files import new_lora, write_lora

    stack, settings = model.get_additional_models()[0].model, LoraConfig(rank=rank)
    lora = new_lora(stack, settings)
    for _, factors in lora.pairs:
        torch.nn.init.normal_(factors.up, std=0.01)
    path = folder / NAME
    write_lora(path, lora, stack, settings, "animatediff", {})
    save_file({key: weight.half() for key, weight in load_file(path).items()}, path)
    folder_paths.add_model_folder_path("motion_lora", str(folder))
    return add_motion_lora(model, NAME, 1.0)[0]


def measure(built: models.Models, frames: int, size: int, rounds: int, rank: int) -> dict[str, Any]:
    """Bytes of the file and bytes that a step holds on to, seconds without and with the LoRA."""
    plain = steps(built, frames, size)["with"]
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        plain()
        before = resident()
        with torch.inference_mode(False):
            model = with_lora(built.host_video, Path(folder), rank)
        file = (Path(folder) / NAME).stat().st_size
        changed = steps(models.Models(built.shape, built.host, model, None, None), frames, size)["with"]
        changed()
        added, taken = resident() - before, {"without": [], "with": []}
        for _ in range(rounds):
            for name, step in (("without", plain), ("with", changed)):
                began = time.process_time()
                step()
                taken[name].append(time.process_time() - began)
    ratios = [after / without for after, without in zip(taken["with"], taken["without"], strict=True)]
    return {"file": file, "added": added, "over_file": added / file, "step": median(ratios), "seconds": taken}


def main() -> None:
    """Measure and print as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", type=int, default=1, help="divide the channels by this")
    parser.add_argument("--size", type=int, default=16, help="side of the latents")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rank", type=int, default=64)
    chosen = parser.parse_args()
    models.start_host()
    built = models.build(chosen.parts, half_layers=True)
    print(json.dumps(measure(built, chosen.frames, chosen.size, chosen.rounds, chosen.rank), indent=1))


if __name__ == "__main__":
    main()
