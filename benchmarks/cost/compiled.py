"""Seconds of a sampling step under TorchCompileModel, without AnimateDiff v2 layers and with them.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.cost.compiled                SD 1.5, about 12 GB
    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.cost.compiled --parts 5      a fifth of the channels

Steps of one prompt through ComfyUI on a CPU, plain and compiled by inductor, in turn; the first call of each,
which compiles, is counted apart. Programs are those that torch has compiled: none may be new from the second
call on. Attention is PyTorch's in all of them, as the host's own for CPUs cannot be compiled in sensible
time. Needs a C++ compiler.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor

from ..toy_world import common
from . import models

PLAIN, COMPILED = "plain", "compiled"
WITHOUT, WITH = "without layers", "with layers"


def attention(_host: Any, q: Tensor, k: Tensor, v: Tensor, heads: int, *_args: Any, **_kwargs: Any) -> Tensor:
    """PyTorch's attention in the host's layout `(b m c)`."""
    from ...temporal.sampling.clip import sdpa

    return sdpa(q, k, v, heads, None)


def arms(built: models.Models) -> dict[tuple[str, str], Any]:
    """MODELs by layers and by compilation, all with the same weights."""
    from comfy_extras.nodes_torch_compile import TorchCompileModel

    found = {}
    for name, model in ((WITHOUT, built.host), (WITH, built.host_video)):
        plain = model.clone()
        plain.model_options["transformer_options"]["optimized_attention_override"] = attention
        found[name, PLAIN] = plain
        found[name, COMPILED] = TorchCompileModel.execute(plain, "inductor").args[0]
    return found


def sampler(built: models.Models, frames: int, size: int, steps: int) -> Callable[[Any], Tensor]:
    """A clip of a MODEL, always from the same noise."""
    import comfy.sample

    text = [[models.texts(built.shape)[0], {}]]
    noise = torch.randn(frames, 4, size, size, generator=torch.Generator().manual_seed(2))

    def sample(model: Any) -> Tensor:
        start = torch.zeros_like(noise)
        return comfy.sample.sample(
            model, noise, steps, 1.0, "euler", "normal", text, text, start, disable_pbar=True
        )

    return sample


def programs() -> int:
    """Programs that torch has compiled in this process."""
    from torch._dynamo.utils import counters

    return counters["stats"]["unique_graphs"]


def measure(built: models.Models, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Seconds a step, of the call that compiles, programs and difference to the plain clip."""
    sample, compared = sampler(built, options.frames, options.size, options.steps), arms(built)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    clips: dict[tuple[str, str], Tensor] = {}
    with torch.inference_mode():
        for arm, model in compared.items():
            before, start = programs(), time.process_time()
            clips[arm] = sample(model)
            first = time.process_time() - start
            found[arm] = {"first": first, "programs": programs() - before, "seconds": [], "new": 0}
        for _ in range(options.rounds):
            for arm, model in compared.items():
                before, start = programs(), time.process_time()
                sample(model)
                found[arm]["seconds"].append((time.process_time() - start) / options.steps)
                found[arm]["new"] += programs() - before
    for name, how in found:
        apart = clips[name, how] - clips[name, PLAIN]
        found[name, how]["apart"] = float(apart.norm() / clips[name, PLAIN].norm())
    return {f"{name}, {how}": numbers for (name, how), numbers in found.items()}


def table(measured: dict[str, dict[str, Any]]) -> str:
    """One row for each arm, as Markdown; times are those of the row above where that is the plain one."""
    rows = []
    for name, numbers in measured.items():
        plain = measured[f"{name.partition(', ')[0]}, {PLAIN}"]["seconds"]
        ratio = median(a / b for a, b in zip(numbers["seconds"], plain, strict=True))
        rows.append(
            [name, f"{median(numbers['seconds']):.2f}", f"{ratio:.2f}", f"{numbers['first']:.0f}",
             str(numbers["programs"]), str(numbers["new"]), f"{numbers['apart']:.0e}"]
        )  # fmt: skip
    titles = ["", "s a step", "times plain", "first call, s", "programs", "new ones later", "apart"]
    return common.markdown(titles, rows)


def main() -> None:
    """Measure, print and keep as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", type=int, default=1, help="divide the channels by this")
    parser.add_argument("--size", type=int, default=16, help="side of the latents")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, help="keep every number in this JSON file")
    options = parser.parse_args()
    models.start_host()
    measured = measure(models.build(options.parts), options)
    print(table(measured), flush=True)
    if options.results is not None:
        options.results.write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
