"""113 frames from 8 keyframes and two learned passes, beside 113 frames sampled at once in windows.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.cost.keyframes

The toy models, the same held-out prompts, sampler and steps in one ComfyUI process, in turn; the third way
gives both passes fewer steps, as given ends leave them little to find. Seconds are the processor's while the
sampling nodes run. `network` counts frames that go through the image model in one step: windows overlap, and
each clip of five frames between two keyframes holds these two again. Quality is that of
benchmarks/toy_world/long_clips.py. Prints a Markdown table and writes every number to
benchmarks/results/keyframes.json. Linux only.

Frames `(f h w 3)` uint8.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...demo import comfy, world
from ...demo.world import classifier
from ...demo.world.scene import TURNS, Scene
from ..toy_world.common import MODELS, decoded, features, held_out, markdown, median_interval, models, options
from ..toy_world.common import write as write_results
from ..toy_world.interpolation import shown
from ..toy_world.long_clips import cell, summary
from .peers import Stopwatch

KEYFRAMES, PASSES, STRIDE, FPS = 8, 2, 4, 30.0
FRAMES = (KEYFRAMES - 1) * STRIDE**PASSES + 1
WINDOW, OVERLAP = 8, 2  # the toy layers know eight frames; the node's own default overlaps a quarter
WAYS = ("windows", "keyframes", "keyframes, fewer steps between")
ROWS = {
    "jitter": "jitter of the track (px, median)",
    "frame_distance": "Frechet distance of single frames",
    "seen": "frames with the object (%)",
    "shape": "shape right (%)",
    "color": "colour right (%)",
}
log = logging.getLogger("benchmarks.keyframes")


def in_network(way: str, steps: int, between: int) -> int:
    """Frames that go through the image model for one prompt, of all steps."""
    if way == "windows":
        return steps * WINDOW * (1 + -(-(FRAMES - WINDOW) // (WINDOW - OVERLAP)))
    pairs = [(KEYFRAMES - 1) * STRIDE**number for number in range(PASSES)]
    return steps * KEYFRAMES + steps_between(way, steps, between) * (STRIDE + 1) * sum(pairs)


def steps_between(way: str, steps: int, between: int) -> int:
    """Steps of each pass between keyframes."""
    return between if way == WAYS[2] else steps


def graph(way: str, scene: Scene, seed: int, settings: dict[str, Any]) -> comfy.Graph:
    """Text to 113 frames, one way or another."""
    length, fps = (FRAMES, FPS) if way == "windows" else (KEYFRAMES, FPS / STRIDE**PASSES)
    how = {
        "seed": seed, "cfg": settings["cfg"], "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
        "positive": ["positive", 0], "negative": ["negative", 0], "fps": fps,
    }  # fmt: skip
    nodes = {
        **models(world.caption(scene)),
        "empty": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 128, "height": 128, "batch_size": length},
        },
        "sample": {
            "class_type": "VLDM_VideoKSampler",
            "inputs": {
                **how, "steps": settings["steps"], "model": ["layers", 0], "latent_image": ["empty", 0],
                "cfg_last_frame": 0.0, "noise_type": "independent", "noise_correlation": 0.5,
            },
        },
    }  # fmt: skip
    if way == "windows":
        windows = {
            "context_length": WINDOW, "context_overlap": OVERLAP, "closed_loop": False,
            "context_schedule": "standard_static", "fuse_method": "pyramid", "repeated_noise": False,
        }  # fmt: skip
        nodes["windows"] = {"class_type": "VLDM_VideoWindows", "inputs": {"model": ["layers", 0], **windows}}
        nodes["sample"]["inputs"]["model"] = ["windows", 0]
        return nodes | decoded("sample")
    nodes["between"] = {
        "class_type": "VLDM_LatentInterpolate",
        "inputs": {
            **how, "samples": ["sample", 0], "model": ["layers", 0], "method": "learned", "passes": PASSES,
            "steps": steps_between(way, settings["steps"], settings["between"]), "loop": False,
            "cut_threshold": 1.25, "pinned_denoise": 0.6,
        },
    }  # fmt: skip
    return nodes | decoded("between")


def run(scenes: Sequence[Scene], settings: dict[str, Any]) -> dict[str, Any]:
    """Clips and seconds of each way, in turn, in one process that has opened everything before."""
    clips, seconds = {way: [] for way in WAYS}, {way: [] for way in WAYS}
    host = comfy.Host()
    with host as client:
        client.run(graph(WAYS[1], scenes[0], len(scenes), {**settings, "steps": 1}))
        for seed, scene in enumerate(scenes):
            for way in WAYS:
                watch = Stopwatch(host.process.pid)
                client.run(nodes := graph(way, scene, seed, settings), watch)
                taken = [sum(watch.costs[node].seconds) for node in ("sample", "between")]
                seconds[way].append(sum(taken))
                clips[way].append(shown(client, nodes))
                log.info("%d of %d, %s: %.0f + %.0f s", seed + 1, len(scenes), way, *taken)
    return {"clips": clips, "seconds": seconds}


def main() -> None:
    """Make all clips, print a table and keep every number."""
    parser = options(__doc__, "keyframes.json")
    parser.add_argument("--prompts", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--between", type=int, default=4, help="steps of a pass in the third way")
    parser.add_argument("--cfg", type=float, default=4.0)
    settings, began = vars(parser.parse_args()), time.monotonic()
    motions = (*TURNS, "still")
    judge = classifier.load_classifier(MODELS / "toy_classifier.safetensors")
    scenes = held_out(settings["prompts"], motions)
    reference = features(judge, [world.render(scene, 8, 8.0) for scene in held_out(256, motions, seed=1)])
    found, plain, results = run(scenes, settings), None, {}
    for way in WAYS:
        taken = found["seconds"][way]
        plain = plain or taken
        results[way] = {
            **summary(judge, found["clips"][way], scenes, reference),
            "seconds": taken,
            "ratio": list(median_interval([one / other for one, other in zip(taken, plain, strict=True)])),
            "network": in_network(way, settings["steps"], settings["between"]),
        }
    write_results(settings, {"results": results}, began)
    rows = [
        [
            "processor seconds a frame",
            *(float(np.median(row["seconds"])) / FRAMES for row in results.values()),
        ],
        ["times the windows", *(cell(row["ratio"]) for row in results.values())],
        ["frames through the image model", *(str(row["network"]) for row in results.values())],
        *([label, *(cell(row[key]) for row in results.values())] for key, label in ROWS.items()),
    ]
    sys.stdout.write(markdown([f"toy world, {FRAMES} frames", *results], rows) + "\n")


if __name__ == "__main__":
    main()
