"""Seconds, memory and bytes of preparing clips for a training, and of adding one.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.cost.preparing --clips 1000

Drawn films of 3 s and 320 x 160 with captions become latents of 128 x 64 at 8 frames a second with the toy
models. Each row is a process of its own: all films, the same folder again, one film more. Memory is the peak
of the process above what it held when its models were loaded. Linux only.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ...nodes import host_boot as boot
from ..films.curated_world import write_films
from ..toy_world import common

SIZE, RATE, FRAMES = (128, 64), 8.0, 8
ROWS = ("all of them", "again, unchanged", "one more")


def memory(name: str) -> int:
    """Bytes of this process by a name of the kernel's."""
    found = re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return 1024 * int(found[1]) if found else 0


def prepare(folder: Path) -> dict[str, float]:
    """Prepare a folder in this process, and count."""
    boot.start_host(None, [str(common.ROOT / "demo" / "host_pack")], cpu=True)
    from ...nodes.host.training.data.buckets import prepare_data
    from ...nodes.host.training.data.encoding import Footage
    from ...nodes.host.training.kinds import TrainedModel
    from ...nodes.host.training.models import load_checkpoint
    from ...temporal.training.config import TrainingConfig

    models = load_checkpoint(str(common.MODELS / "toy_sd.safetensors"))
    kind = TrainedModel(models, TrainingConfig(num_frames=FRAMES))
    held, began, used = memory("VmRSS"), time.perf_counter(), time.process_time()
    clips = prepare_data(Footage(folder, RATE, SIZE), kind)
    kept = [path for path in (folder / "video_ldm_cache").rglob("*") if path.is_file()]
    return {
        "clips": len(clips),
        "seconds": time.perf_counter() - began,
        "processor": time.process_time() - used,
        "memory": memory("VmHWM") - held,
        "bytes": sum(path.stat().st_size for path in kept),
    }


def measured(folder: Path) -> dict[str, float]:
    """`prepare` in a process of its own."""
    command = [sys.executable, "-m", "video_ldm.benchmarks.cost.preparing", "--prepare", str(folder)]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(made.stdout.splitlines()[-1])


def main() -> None:
    """Draw the films, prepare them, and print and keep the table."""
    parser = argparse.ArgumentParser(
        "python -m video_ldm.benchmarks.cost.preparing", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--prepare", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=common.RESULTS / "preparing.json")
    asked = parser.parse_args()
    if asked.prepare is not None:
        sys.stdout.write(json.dumps(prepare(asked.prepare)) + "\n")
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder, found = Path(scratch) / "films", {}
        write_films(folder, asked.clips, seed=0)
        for row in ROWS:
            if row == ROWS[-1]:
                write_films(Path(scratch) / "another", 1, seed=1)
                for path in (Path(scratch) / "another").glob("0000.*"):
                    path.rename(folder / f"another{path.suffix}")
            found[row] = measured(folder)
    asked.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    rows = [
        [row, *(f"{numbers[name]:.0f}" for name in ("clips", "seconds", "processor")),
         *(f"{numbers[name] / 1e6:.0f}" for name in ("memory", "bytes"))]
        for row, numbers in found.items()
    ]  # fmt: skip
    titles = ["", "clips", "seconds", "processor seconds", "memory above before, MB", "on disk, MB"]
    sys.stdout.write(common.markdown(titles, rows) + "\n")


if __name__ == "__main__":
    main()
