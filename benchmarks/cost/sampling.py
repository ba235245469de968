"""Time and memory of a sampling step with AnimateDiff v2 layers over those without, here and in diffusers.

    OMP_NUM_THREADS=2 python -m video_ldm.benchmarks.cost.sampling         SD 1.5: about 8 GB, half an hour
    python -m video_ldm.benchmarks.cost.sampling --gpu --sizes 64          float16 on the host's device
    python -m video_ldm.benchmarks.cost.sampling --parts 5 --sizes 8 --rounds 1    a fifth of the channels

All four run in one process, in turn, on the same random weights: prompt and negative prompt of a clip in one
batch. Medians over the rounds, after one that is not counted; memory is the highest resident size (of a GPU:
allocated) above that before the step.

Shapes: f frames, h w latent size.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch

from . import models

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "sampling.json"
PAIRS = {"video_ldm": ("host", "host_video"), "diffusers": ("image", "video")}


def steps(built: models.Models, frames: int, size: int) -> dict[str, Callable[[], Any]]:
    """One sampling step of each network, by its name in `Models`."""
    import comfy.sample

    weights = next(built.video.parameters())
    positive, negative = models.texts(built.shape)
    noise = torch.randn(frames, 4, size, size, generator=torch.Generator().manual_seed(2))
    conds = [[[text, {}]] for text in (positive, negative)]
    both = torch.cat([negative, positive]).repeat_interleave(frames, 0).to(weights)
    batch = torch.cat([noise, noise]).to(weights)
    clips = batch.unflatten(0, (2, frames)).transpose(1, 2).contiguous()

    def host(model: Any) -> Any:
        latent = torch.zeros_like(noise)
        return comfy.sample.sample(model, noise, 1, 7.5, "euler", "normal", *conds, latent, disable_pbar=True)

    return {
        "host": lambda: host(built.host),
        "host_video": lambda: host(built.host_video),
        "image": lambda: built.image(batch, 500, both).sample,
        "video": lambda: built.video(clips, 500, both).sample,
    }


def measure(built: models.Models, frames: int, size: int, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds and peak megabytes of each network."""
    measure_step = on_gpu if next(built.video.parameters()).is_cuda else on_cpu
    seconds, peaks = defaultdict(list), defaultdict(list)
    with torch.inference_mode():
        for number in range(rounds + 1):
            for name, step in steps(built, frames, size).items():
                taken, peak = measure_step(step)
                if number:
                    seconds[name].append(taken)
                    peaks[name].append(peak / 1e6)
    return {
        name: {"seconds": round(median(seconds[name]), 3), "peak_mb": round(median(peaks[name]), 1)}
        for name in seconds
    }


def on_cpu(step: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of a step, and the bytes it needed at most."""
    from ...tests.memory import Peak

    peak, start = Peak(), time.perf_counter()
    step()
    return time.perf_counter() - start, peak.bytes()


def on_gpu(step: Callable[[], Any]) -> tuple[float, float]:
    """Seconds of a step until the GPU is done, and the bytes it needed at most."""
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before, start = torch.cuda.memory_allocated(), time.perf_counter()
    step()
    torch.cuda.synchronize()
    return time.perf_counter() - start, torch.cuda.max_memory_allocated() - before


def ratios(measured: dict[str, dict[str, float]]) -> dict[str, float]:
    """Time with layers over time without, of ours and of diffusers."""
    return {
        name: round(measured[video]["seconds"] / measured[image]["seconds"], 3)
        for name, (image, video) in PAIRS.items()
    }


def main() -> None:
    """Measure all sizes; print and keep as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", type=int, default=1, help="divide the channels by this")
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 32], help="sides of the latents")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, help=f"where to keep them, such as {RESULTS}")
    parser.add_argument("--half", action="store_true", help="layers from a half-precision file, on a CPU too")
    parser.add_argument("--gpu", action="store_true", help="on the host's device, in float16")
    chosen = parser.parse_args()
    models.start_host(cpu=not chosen.gpu)
    built = models.build(chosen.parts, half_layers=chosen.half)
    machine = {"cpu": platform.processor() or platform.machine(), "threads": torch.get_num_threads()}
    if chosen.gpu:
        machine = {"gpu": torch.cuda.get_device_name(), "precision": "float16"}
    results = {
        "machine": machine,
        "torch": torch.__version__,
        "channels": built.shape.model_channels,
        "frames": chosen.frames,
        "half_layers": chosen.half,
        "sizes": {},
    }
    for size in chosen.sizes:
        measured = measure(built, chosen.frames, size, chosen.rounds)
        results["sizes"][size] = {"ratio": ratios(measured), **measured}
        print(json.dumps({size: results["sizes"][size]}), flush=True)
    if chosen.results is not None:
        chosen.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
