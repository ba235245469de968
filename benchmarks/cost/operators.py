"""Seconds of a sampling step by kind of operator, without AnimateDiff v2 layers and with them.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.cost.operators                SD 1.5, about 12 GB
    python -m video_ldm.benchmarks.cost.operators --half                layers from a half-precision file
    python -m video_ldm.benchmarks.cost.operators --parts 5 --sizes 8 --rounds 1    a fifth of the channels

One step of one prompt through ComfyUI on a CPU, under `torch.profiler`; each operator counts the seconds it
spends itself, medians over the rounds, after one that is not counted. The difference of the two columns is
the cost of the layers. Its matrix products are the floor: layers that give the same result cannot take less.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from ..toy_world import common
from . import models

# operators by what they do; the first kind whose words are in a name counts
KINDS = {
    "matrix products": ("addmm", "::mm", "bmm", "mkl", "conv", "linear"),
    "attention": ("scaled_dot_product", "softmax"),
    "norms": ("norm",),
    "activations": ("gelu", "silu"),
    "copies and casts": ("copy", "::to", "clone", "contiguous", "cat", "empty", "fill", "zero"),
    "sums and products": ("add", "mul", "sub", "div"),
}
OTHER, WHOLE = "other", "whole step"


def kind_of(operator: str) -> str:
    """Kind of an operator by its name, such as `aten::addmm`."""
    return next((kind for kind, words in KINDS.items() if any(word in operator for word in words)), OTHER)


def seconds_by_kind(step: Callable[[], Any]) -> Counter[str]:
    """Seconds that operators of each kind take themselves in one step."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        step()
    found: Counter[str] = Counter()
    for event in profiled.key_averages():
        found[kind_of(event.key)] += event.self_cpu_time_total / 1e6
    found[WHOLE] = sum(found.values())
    return found


def steps(built: models.Models, frames: int, size: int) -> dict[str, Callable[[], Any]]:
    """One sampling step of one prompt, without layers and with them."""
    import comfy.sample

    text = [[models.texts(built.shape)[0], {}]]
    noise = torch.randn(frames, 4, size, size, generator=torch.Generator().manual_seed(2))

    def step(model: Any) -> Any:
        latent = torch.zeros_like(noise)
        return comfy.sample.sample(
            model, noise, 1, 1.0, "euler", "normal", text, text, latent, disable_pbar=True
        )

    return {"without": lambda: step(built.host), "with": lambda: step(built.host_video)}


def measure(built: models.Models, frames: int, size: int, rounds: int) -> dict[str, dict[str, float]]:
    """Median seconds of each kind, without layers and with them, in turn."""
    taken: dict[str, list[Counter[str]]] = {"without": [], "with": []}
    with torch.inference_mode():
        for number in range(rounds + 1):
            for name, step in steps(built, frames, size).items():
                found = seconds_by_kind(step)
                if number:
                    taken[name].append(found)
    return {
        name: {kind: median(one[kind] for one in counts) for kind in (*KINDS, OTHER, WHOLE)}
        for name, counts in taken.items()
    }


def floor(measured: dict[str, dict[str, float]]) -> float:
    """Ratio of the step if the layers were nothing but their matrix products."""
    product, plain = next(iter(KINDS)), measured["without"]
    return 1 + (measured["with"][product] - plain[product]) / plain[WHOLE]


def table(measured: dict[str, dict[str, float]]) -> str:
    """Seconds of each kind, the difference and its share, as Markdown."""
    plain, video = measured["without"], measured["with"]
    added = video[WHOLE] - plain[WHOLE]
    rows = [
        [kind, f"{plain[kind]:.2f}", f"{video[kind]:.2f}", f"{video[kind] - plain[kind]:.2f}",
         f"{100 * (video[kind] - plain[kind]) / added:.0f} %"]
        for kind in plain
    ]  # fmt: skip
    return common.markdown(["", "without layers, s", "with layers, s", "layers, s", "of the layers"], rows)


def main() -> None:
    """Measure all sizes; print and keep as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", type=int, default=1, help="divide the channels by this")
    parser.add_argument("--sizes", type=int, nargs="+", default=[16], help="sides of the latents")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--half", action="store_true", help="layers from a half-precision file")
    parser.add_argument("--results", type=Path, help="keep every number in this JSON file")
    chosen = parser.parse_args()
    models.start_host()
    built = models.build(chosen.parts, half_layers=chosen.half)
    results = {}
    for size in chosen.sizes:
        measured = measure(built, chosen.frames, size, chosen.rounds)
        whole = measured["with"][WHOLE] / measured["without"][WHOLE]
        results[size] = {"ratio": whole, "floor": floor(measured), **measured}
        print(f"\n{size} x {size}: {whole:.3f} times the step without, floor {floor(measured):.3f}\n")
        print(table(measured), flush=True)
    if chosen.results is not None:
        chosen.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
