"""Peak memory of a rollout, from two frames to a film, at two lengths: Extend Video and Render Video.

    python -m video_ldm.benchmarks.cost.rollout

Each length is made by a ComfyUI process of its own, with the toy models; reported is the peak resident memory
of that process (VmHWM). One sampling step, as memory does not depend on them. The latents of the whole clip
are a file that is mapped, not read: the pages that were touched count as resident all the same, 4 kB a frame.
Prints a Markdown table and writes it with every number to benchmarks/results/rollout.json; ends with 1 when
the peaks are more than 5 % apart. Linux only.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

from ...demo import comfy, world
from ...demo.train.toy_models import load_autoencoder
from ...demo.world.scene import TURNS
from ..toy_world.common import MODELS, give_latents, held_out, markdown, models, options, write
from ..toy_world.prediction import FPS
from ..toy_world.seams import CONTEXT, LENGTH, NEW
from .memory import TOLERANCE, peak

FILM_FPS = 30.0
LATENT_BYTES = 4 * 4 * 16 * 16  # of a frame
log = logging.getLogger("benchmarks.rollout")

Measure = dict[str, Any]


def segments(frames: int) -> int:
    """Segments that make a clip of at least `frames`, the given ones included."""
    return max(-(-(frames - CONTEXT) // NEW), 1)


def graph(prompt: str, frames: int, settings: dict[str, Any]) -> comfy.Graph:
    """Two given frames to a film."""
    extend = {
        "model": ["layers", 0],
        "positive": ["positive", 0],
        "negative": ["negative", 0],
        "samples": ["latent", 0],
        "segments": segments(frames),
        "seconds": 0.0,
        "segment_length": LENGTH,
        "context_frames": CONTEXT,
        "seeds": "0",
        "fps": FPS,
        "steps": settings["steps"],
        "cfg": settings["cfg"],
        "sampler_name": "euler",
        "scheduler": "normal",
        "folder": "benchmark",
    }
    film = {
        "samples": ["extend", 0],
        "vae": ["model", 2],
        "format": "mp4 (H.264)",
        "quality": 80,
        "fps": FILM_FPS,
        "filename_prefix": "film",
    }
    return {
        **models(prompt),
        "latent": {"class_type": "LoadLatent", "inputs": {"latent": "start.latent"}},
        "extend": {"class_type": "VLDM_ExtendVideo", "inputs": extend},
        "end": {"class_type": "VLDM_RenderVideo", "inputs": film},
    }


class Progress:
    """Writes down how far a run is now and then, and the peak of the process when each node begins."""

    def __init__(self, pid: int) -> None:
        self.pid, self.peaks, self.said = pid, {}, 0.0

    def __call__(self, event: str, data: dict[str, Any]) -> None:
        if event == "executing" and data["node"]:
            self.peaks[data["node"]] = peak(self.pid)
        if event == "progress" and time.monotonic() > self.said + 15:
            self.said = time.monotonic()
            log.info("%s: %d of %d", data["node"], data["value"], data["max"])


def measure(frames: int, settings: dict[str, Any]) -> Measure:
    """One rollout and its film in a fresh host."""
    scene = held_out(1, tuple(TURNS))[0]
    host = comfy.Host()
    with host as client:
        give_latents(host, "start.latent", settings["autoencoder"], world.render(scene, CONTEXT, FPS))
        progress, started = Progress(host.process.pid), time.monotonic()
        shown = client.run(graph(world.caption(scene), frames, settings), progress)["end"]["images"][0]
        seconds = time.monotonic() - started
        film = host.base / "output" / shown["subfolder"] / shown["filename"]
        made = CONTEXT + NEW * segments(frames)
        return {
            "frames": made,
            "latents_bytes": LATENT_BYTES * made,
            "before_bytes": progress.peaks["extend"],
            "rollout_bytes": progress.peaks["end"],
            "peak_bytes": peak(host.process.pid),
            "film_bytes": film.stat().st_size,
            "seconds": round(seconds, 1),
        }


def spread(measures: list[Measure]) -> float:
    """Largest over smallest peak, minus one."""
    peaks = [row["peak_bytes"] for row in measures]
    return max(peaks) / min(peaks) - 1


def report(measures: list[Measure]) -> str:
    """The numbers as Markdown."""
    header = [
        "frames",
        "latents of the clip, MB",
        "peak before, MB",
        "after Extend Video, MB",
        "after Render Video, MB",
        "seconds",
    ]
    keys = ("latents_bytes", "before_bytes", "rollout_bytes", "peak_bytes")
    rows = [
        [str(row["frames"]), *(f"{row[key] / 2**20:.0f}" for key in keys), f"{row['seconds']:.0f}"]
        for row in measures
    ]
    return f"{markdown(header, rows)}\n\nPeaks within {100 * spread(measures):.1f} % of each other"


def main() -> None:
    parser = options(__doc__, "rollout.json")
    parser.add_argument("--frames", type=int, nargs="+", default=[90, 9000], help="lengths of the clips")
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--cfg", type=float, default=1.0, help="1 asks the model once a step")
    settings, began = vars(parser.parse_args()), time.monotonic()
    autoencoder = load_autoencoder(MODELS / "toy_sd.safetensors")
    measures = []
    for frames in settings["frames"]:
        measures.append(measure(frames, {**settings, "autoencoder": autoencoder}))
        log.info("%d frames: %.0f MB", frames, measures[-1]["peak_bytes"] / 2**20)
    write(settings, {"spread": spread(measures), "measures": measures}, began)
    sys.stdout.write(report(measures) + "\n")
    sys.exit(int(spread(measures) > TOLERANCE))


if __name__ == "__main__":
    main()
