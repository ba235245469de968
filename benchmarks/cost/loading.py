"""Peak memory and time of opening a file of temporal layers.

AnimateDiff v2 in half precision, as both kinds of file.

    python -m video_ldm.benchmarks.cost.loading             909 MB, as published
    python -m video_ldm.benchmarks.cost.loading --parts 3   a third as many channels: a tenth of the size

Each file is opened in a process of its own. What counts is the highest resident size above that of the same
process before it opened the file: pages of a file that is mapped count as soon as they are read. *Kept* is
what the process holds afterwards beside those pages, which the system takes back when memory is short. Aim:
at most 1.3 times the file.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file

from ...temporal.formats import convert, load_stack, motion_modules
from ...temporal.layers.motion import MotionConfig
from ...temporal.stack.plan import SD1, UNetShape
from ...temporal.stack.stack import StackConfig, TemporalStack
from ...tests.memory import Peak

AIM = 1.3
KINDS = ("safetensors", "ckpt")
SMALLEST = replace(SD1, model_channels=32)
STATUS = Path("/proc/self/status")


def narrowed(parts: int) -> UNetShape:
    """SD 1.x with a part of its channels."""
    return replace(SD1, model_channels=SD1.model_channels // parts // 32 * 32)


def write(path: Path, unet: UNetShape) -> None:
    """Random AnimateDiff v2 layers in half precision, as the end of the name says.

    They are safetensors or as PyTorch saves them.
    """
    config = StackConfig(
        unet, "SD 1.x", 32, False, False, family="AnimateDiff v2", motion=MotionConfig(True, False, False)
    )
    torch.manual_seed(0)
    convert.write(path, TemporalStack(config, dtype=torch.float16), "original")
    if path.suffix == ".ckpt":
        # the file below them is replaced
        weights = {key: weight.clone() for key, weight in load_file(path).items()}
        torch.save({"state_dict": weights}, path)


def measured(path: Path, unet: UNetShape) -> dict[str, float]:
    """Open a file in a fresh process: its megabytes, peak of memory over them, seconds."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        peak, kept, seconds = pool.apply(_opened, (str(path), unet))
    size = path.stat().st_size
    return {
        "file_mb": round(size / 1e6, 1),
        "peak_over_file": round(peak / size, 3),
        "kept_over_file": round(kept / size, 3),
        "seconds": round(seconds, 2),
    }


def _opened(path: str, unet: UNetShape) -> tuple[int, int, float]:
    """Peak of memory, memory of its own that the process keeps, and seconds.

    The smallest file of the kind is opened first: what PyTorch loads on first use is not the file's.
    """
    motion_modules.BASES = {4: ("SD 1.x", SMALLEST)}
    load_stack(Path(path).with_stem("smallest"))
    motion_modules.BASES = {4: ("SD 1.x", unet)}
    peak, before, start = Peak(), _own_memory(), time.perf_counter()
    stack = load_stack(path)
    seconds = time.perf_counter() - start
    if stack.config.unet != unet:
        raise SystemExit("The file was not read as what it is.")
    return peak.bytes(), _own_memory() - before, seconds


def _own_memory() -> int:
    """Bytes of this process that are no pages of a file (Linux)."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def run(parts: int) -> dict[str, dict[str, float]]:
    """Both kinds of file."""
    unet, results = narrowed(parts), {}
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            path = Path(folder) / f"layers.{kind}"
            write(path.with_stem("smallest"), SMALLEST)
            write(path, unet)
            results[kind] = measured(path, unet)
            path.unlink()
    return results


def main() -> None:
    """Measure, print as JSON, and end with an error above the aim."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", type=int, default=1, help="divide the channels by this")
    results = run(parser.parse_args().parts)
    print(json.dumps(results, indent=1))
    if any(result["peak_over_file"] > AIM for result in results.values()):
        raise SystemExit(f"Opening takes more than {AIM} times the file.")


if __name__ == "__main__":
    main()
