"""Measure the cost of the moving preview.

Sampling through Video KSampler with and without it, in turn, in a running ComfyUI.

    OMP_NUM_THREADS=2 python -m video_ldm.benchmarks.cost.preview      the toy models, 16 frames of 256 x 256
    OMP_NUM_THREADS=2 python -m video_ldm.benchmarks.cost.preview --side 512 --rounds 9

The server encodes and sends every preview to a client that is connected, as it does to a browser. Seconds are
those between the first and the last `progress` of a run, per step; processor seconds are those of the whole
server in that time, the encoding of previews included, and say more on a machine that is busy. Medians over
the rounds, after one that is not counted.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results" / "preview.json"
METHODS = ("none", "latent2rgb")


def main(arguments: list[str] | None = None) -> None:
    """Measure, print and write benchmarks/results/preview.json."""
    parser = argparse.ArgumentParser("python -m video_ldm.benchmarks.cost.preview", description=__doc__)
    parser.add_argument("--side", type=int, default=256, help="width and height in pixels")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS)
    chosen = parser.parse_args(arguments)
    seconds = measure(chosen)  # of the clock, of the processor
    found = summary(seconds, chosen)
    chosen.out.parent.mkdir(exist_ok=True)
    chosen.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(json.dumps(found, indent=1))


def measure(chosen: argparse.Namespace) -> dict[str, list[tuple[float, float]]]:
    """Seconds per step of every round, by preview method; the order changes from round to round."""
    from ...demo.comfy import Host

    seconds: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
    hosts = {method: Host(method) for method in METHODS}
    with hosts["none"] as without, hosts["latent2rgb"] as preview:
        clients = dict(zip(METHODS, (without, preview), strict=True))
        for number in range(chosen.rounds + 1):
            for method in METHODS[:: 1 if number % 2 else -1]:
                taken = run(clients[method], hosts[method].process.pid, graph(chosen, seed=number))
                if number:
                    seconds[method].append(taken)
    return seconds


def run(client: Any, server: int, prompt: dict[str, Any]) -> tuple[float, float]:
    """Seconds of the clock and of the server's processors, per step of one run."""
    import psutil

    process = psutil.Process(server)
    times: list[tuple[float, float]] = []

    def listen(event: str, data: dict[str, Any]) -> None:
        if event == "progress" and data["node"] == "sample":
            cpu = process.cpu_times()
            times.append((time.perf_counter(), cpu.user + cpu.system))

    client.run(prompt, listen)
    first, last, steps = times[0], times[-1], len(times) - 1
    return (last[0] - first[0]) / steps, (last[1] - first[1]) / steps


def graph(chosen: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Text to video with the toy models, as far as the latents."""
    size = {"width": chosen.side, "height": chosen.side, "batch_size": chosen.frames}
    sampler = {
        "seed": seed,
        "steps": chosen.steps,
        "cfg": 5.0,
        "sampler_name": "euler",
        "scheduler": "normal",
    }
    ours = {"cfg_last_frame": 0.0, "noise_type": "independent", "noise_correlation": 0.5, "fps": 8.0}
    links = {"positive": ["text", 0], "negative": ["no", 0], "latent_image": ["empty", 0]}
    text = {"clip": ["model", 1]}
    return {
        "model": node("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors"),
        "layers": node(
            "VLDM_LoadTemporalLayers",
            **{"model": ["model", 0], "file": "toy_temporal.safetensors", "strength": 1.0},
        ),
        "windows": node(
            "VLDM_VideoWindows",
            **{"model": ["layers", 0], "context_length": 8, "context_overlap": 2},
            **{"context_schedule": "standard_static", "fuse_method": "pyramid", "closed_loop": False},
            **{"repeated_noise": False},
        ),
        "text": node("CLIPTextEncode", **text, text="a red circle moving right"),
        "no": node("CLIPTextEncode", **text, text=""),
        "empty": node("EmptyLatentImage", **size),
        "sample": node("VLDM_VideoKSampler", model=["windows", 0], **links, **sampler, **ours, denoise=1.0),
        "save": node("SaveLatent", samples=["sample", 0], filename_prefix="preview"),
    }


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    """A node in API format."""
    return {"class_type": class_type, "inputs": inputs}


def summary(seconds: dict[str, list[tuple[float, float]]], chosen: argparse.Namespace) -> dict[str, Any]:
    """Medians, and what the preview adds to a step."""
    found: dict[str, Any] = vars(chosen) | {"out": chosen.out.name}
    for place, kind in enumerate(("clock", "processor")):
        without, preview = ([taken[place] for taken in seconds[method]] for method in METHODS)
        pairs = [after / before - 1 for before, after in zip(without, preview, strict=True)]
        found[kind] = {
            "seconds_per_step_without": round(median(without), 4),
            "seconds_per_step_with": round(median(preview), 4),
            "added_percent_of_medians": round(100 * (median(preview) / median(without) - 1), 2),
            "added_percent_median_of_pairs": round(100 * median(pairs), 2),
        }
    return found


if __name__ == "__main__":
    main()
