"""Peak memory of a film at three lengths: Render Video, and the host's own VAE Decode with Save Video.

    python -m video_ldm.benchmarks.cost.memory

Every film is made by a ComfyUI process of its own, from the same latents in a file. A decoder of 8 channels
makes the frames, so that thousands of them take minutes and nothing hides behind a large decoder's own
memory; `--vae toy` takes TAESD's 64. Reported are the peak resident memory of that process (VmHWM), the same
without the latents, which the graph holds whole, that of its encoder, and seconds. Prints a Markdown table
and writes it with every number to benchmarks/results/memory.json. Linux only. Latents `(f c h w)`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.nn import functional

from ...demo import comfy

RESULTS = Path(__file__).resolve().parents[1] / "results" / "memory.json"
PACK = Path(__file__).resolve().parents[1] / "host_pack"
FPS = 24.0
STREAMED, WHOLE = "Render Video", "VAE Decode + Save Video (host)"
TOLERANCE = 0.05  # how far apart the peaks of Render Video may lie

Measure = dict[str, Any]


def latents(num_frames: int, side: int) -> torch.Tensor:
    """Latents (f 4 h w) of soft clouds that drift, so that the encoder has something to do."""
    coarse = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(0))
    cloud = functional.interpolate(coarse, size=(side // 8, side // 8), mode="bicubic")[0]
    return torch.stack([cloud.roll((n // 3, n), dims=(1, 2)) for n in range(num_frames)])


def graph(way: str, vae: str) -> comfy.Graph:
    """The latents of a file to a film, one way or the other."""
    common: comfy.Graph = {
        "thin": {"class_type": "Benchmark_ThinVAE", "inputs": {"vae": ["model", 2]}},
        "model": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "toy_sd.safetensors"}},
        "clip": {"class_type": "LoadLatent", "inputs": {"latent": "clip.latent"}},
    }
    source = {"samples": ["clip", 0], "vae": ["thin", 0] if vae == "thin" else ["model", 2]}
    if way == STREAMED:
        film = {"format": "mp4 (H.264)", "quality": 80, "fps": FPS, "filename_prefix": "film"}
        return {**common, "end": {"class_type": "VLDM_RenderVideo", "inputs": {**source, **film}}}
    film = {"filename_prefix": "film", "format": "auto", "codec": "auto"}
    return {
        **common,
        "frames": {"class_type": "VAEDecode", "inputs": source},
        "video": {"class_type": "CreateVideo", "inputs": {"images": ["frames", 0], "fps": FPS}},
        "end": {"class_type": "SaveVideo", "inputs": {"video": ["video", 0], **film}},
    }


def peak(pid: int) -> int:
    """Largest resident memory a process has had, in bytes; 0 when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * 1024 if found else 0


class Watch(threading.Thread):
    """Follows the peak memory of a process's children, its encoders."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.largest, self.over = pid, 0, threading.Event()

    def run(self) -> None:
        """Look five times a second until told that it is over."""
        while not self.over.wait(0.2):
            for task in Path(f"/proc/{self.pid}/task").glob("*/children"):
                try:
                    children = task.read_text().split()
                except OSError:
                    continue
                self.largest = max([self.largest, *(peak(int(child)) for child in children)])


def measure(way: str, num_frames: int, side: int, vae: str) -> Measure:
    """Make one film in a fresh host."""
    host = comfy.Host(packs={"video-ldm-benchmarks": PACK})
    with host as client:
        folder = host.base / "input"
        folder.mkdir(exist_ok=True)
        tensors = {"latent_tensor": latents(num_frames, side), "latent_format_version_0": torch.tensor([])}
        save_file(tensors, folder / "clip.latent")
        latent_bytes = tensors["latent_tensor"].nbytes
        del tensors
        idle = peak(host.process.pid)
        watch = Watch(host.process.pid)
        watch.start()
        started = time.monotonic()
        shown = client.run(graph(way, vae))["end"]["images"][0]
        seconds = time.monotonic() - started
        watch.over.set()
        watch.join()
        film = host.base / "output" / shown["subfolder"] / shown["filename"]
        announced = re.search(r"needs about .*", host.log.read_text("utf-8", "replace"))
        return {
            "way": way,
            "frames": num_frames,
            "latent_bytes": latent_bytes,
            "idle_bytes": idle,
            "peak_bytes": peak(host.process.pid),
            "encoder_peak_bytes": watch.largest,
            "seconds": round(seconds, 1),
            "film_bytes": film.stat().st_size,
            "announced": announced[0] if announced else None,
        }


def table(measures: list[Measure]) -> str:
    """The numbers as Markdown."""
    lines = [
        "| | frames | peak memory, MB | without the latents, MB | its encoder, MB | seconds |",
        "|---|---|---|---|---|---|",
    ]
    for row in measures:
        numbers = (
            row["frames"],
            row["peak_bytes"] / 2**20,
            (row["peak_bytes"] - row["latent_bytes"]) / 2**20,
            row["encoder_peak_bytes"] / 2**20,
            row["seconds"],
        )
        lines.append("| {} | {} | {:.0f} | {:.0f} | {:.0f} | {:.0f} |".format(row["way"], *numbers))
    return "\n".join(lines)


def spread(measures: list[Measure]) -> float:
    """Largest over smallest peak of Render Video without the latents, minus one."""
    peaks = [row["peak_bytes"] - row["latent_bytes"] for row in measures if row["way"] == STREAMED]
    return max(peaks) / min(peaks) - 1


def parse(arguments: list[str]) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(
        "python -m video_ldm.benchmarks.cost.memory", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--frames", type=int, nargs="+", default=[32, 256, 2048], help="lengths for Render Video"
    )
    parser.add_argument(
        "--host-frames",
        type=int,
        nargs="*",
        default=[32, 256],
        help="lengths for the host's nodes, as memory allows",
    )
    parser.add_argument("--vae", choices=("thin", "toy"), default="thin", help="what decodes")
    parser.add_argument("--side", type=int, default=512, help="pixels of a frame's side")
    parser.add_argument("--out", type=Path, default=RESULTS, help="where the numbers go")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    """Measure, print, write; ends with 1 when Render Video's memory grows with the film."""
    options = parse(arguments)
    plan = [(STREAMED, count) for count in options.frames] + [(WHOLE, count) for count in options.host_frames]
    measures = []
    for way, count in plan:
        print(f"{way}, {count} frames", flush=True)
        measures.append(measure(way, count, options.side, options.vae))
    print(
        f"\n{table(measures)}\n\nRender Video: peaks without the latents within "
        f"{100 * spread(measures):.1f} % of each other"
    )
    machine = {"machine": platform.platform(), "cores": os.cpu_count(), "torch": torch.__version__}
    settings = {
        "side": options.side,
        "vae": options.vae,
        "date": datetime.date.today().isoformat(),
        **machine,
    }
    numbers = {"settings": settings, "spread": spread(measures), "measures": measures}
    options.out.write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")
    sys.exit(int(spread(measures) > TOLERANCE))


if __name__ == "__main__":
    main(sys.argv[1:])
