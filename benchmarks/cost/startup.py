"""Seconds ComfyUI spends on this pack when it starts.

A plain copy of the folder, loaded again and again in a booted host.

    python -m video_ldm.benchmarks.cost.startup

Counted is this thread's own time, from the second load on, when Python has kept the compiled files. Aim:
under 0.3 s.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from ...demo.comfy import NOT_THE_PACK
from ...tests.in_process import InProcessHost

ROOT = Path(__file__).resolve().parents[2]
AIM = 0.3
LOADS = 12


def seconds(copy: Path) -> list[float]:
    """Time of each load, the compiling one left out."""
    registry = sys.modules["nodes"]
    before, taken = set(sys.modules), []
    for _ in range(LOADS):
        for name in set(sys.modules) - before:
            del sys.modules[name]
        started = time.thread_time()
        if not asyncio.run(registry.load_custom_node(str(copy))):
            raise RuntimeError(f"The host could not load {copy}: its log says why.")
        taken.append(time.thread_time() - started)
    return taken[1:]


def main() -> None:
    """One line of JSON: median and range."""
    sys.dont_write_bytecode = False
    with tempfile.TemporaryDirectory() as folder:
        (base := Path(folder, "base")).mkdir()
        InProcessHost(base)
        copy = shutil.copytree(ROOT, Path(folder, "custom_nodes", "comfyui-video-ldm"), ignore=NOT_THE_PACK)
        taken = seconds(copy)
    report = {"median_s": statistics.median(taken), "least_s": min(taken), "most_s": max(taken), "aim_s": AIM}
    sys.stdout.write(json.dumps({key: round(value, 3) for key, value in report.items()}) + "\n")


if __name__ == "__main__":
    main()
