"""Measure steps that do less on the toy world: guidance or temporal layers in a part of the sampling alone.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.toy_world.less

The same held-out prompts and seeds, sampled in turn in one ComfyUI process. Seconds are the processor's while
the sampling node runs, as a share of the whole sampling of the same prompt. Beside them stand what is seen
(axis of the motion, colour, shape, jitter of the track, the toy Frechet distance of single frames to drawn
ones) and how far frames lie from those of the whole sampling. Prints a Markdown table and writes every number
to benchmarks/results/less.json. Linux only.

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
from ...demo.world import classifier, tracker
from ...demo.world.scene import DIRECTIONS, Scene
from ..cost.peers import Stopwatch
from . import motion
from .common import MODELS, features, held_out, markdown, median_interval, options, write
from .interpolation import shown
from .long_clips import cell

# parts of the sampling in which the guidance is 1, and those in which the layers act
WAYS: dict[str, dict[str, list[tuple[float, float]]]] = {
    "everything": {},
    "guidance until 60 %": {"unguided": [(0.6, 1.0)]},
    "guidance until 50 %": {"unguided": [(0.5, 1.0)]},
    "guidance from 20 to 70 %": {"unguided": [(0.0, 0.2), (0.7, 1.0)]},
    "layers until 50 %": {"layers": [(0.0, 0.5)]},
    "layers from 50 %": {"layers": [(0.5, 1.0)]},
}
ROWS = {
    "seconds": "processor seconds, times everything",
    "difference": "difference to everything (of 255)",
    "axis": "axis right (%)",
    "color": "colour right (%)",
    "shape": "shape right (%)",
    "jitter": "jitter of the track (px, median)",
    "frame_distance": "Frechet distance of single frames",
}
log = logging.getLogger("benchmarks.less")


def graph(way: str, scene: Scene, seed: int, settings: dict[str, Any]) -> comfy.Graph:
    """Text to video, with guidance and layers in their parts of the sampling."""
    nodes, parts = motion.graph(world.caption(scene), seed, 1.0, settings), WAYS[way]
    for start, end in parts.get("layers", []):
        nodes["layers"]["inputs"] |= {"start_percent": start, "end_percent": end}
    for number, (start, end) in enumerate(parts.get("unguided", [])):
        inputs = {"cfg": 1.0, "cfg_end": 0.0, "start_percent": start, "end_percent": end}
        model = nodes["sample"]["inputs"]["model"]
        nodes[f"part {number}"] = {
            "class_type": "VLDM_GuidanceSchedule",
            "inputs": {"model": model, **inputs},
        }
        nodes["sample"]["inputs"]["model"] = [f"part {number}", 0]
    return nodes


def run(scenes: Sequence[Scene], settings: dict[str, Any]) -> tuple[dict[str, list], dict[str, list]]:
    """Clips and seconds of each way, in turn."""
    clips: dict[str, list] = {way: [] for way in WAYS}
    seconds: dict[str, list] = {way: [] for way in WAYS}
    host = comfy.Host()
    with host as client:
        client.run(graph("everything", scenes[0], len(scenes), {**settings, "steps": 1}))
        for seed, scene in enumerate(scenes):
            for way in WAYS:
                watch = Stopwatch(host.process.pid)
                client.run(nodes := graph(way, scene, seed, settings), watch)
                seconds[way].append(sum(watch.costs["sample"].seconds))
                clips[way].append(shown(client, nodes))
            log.info("%d of %d", seed + 1, len(scenes))
    return clips, seconds


def summary(
    clips: Sequence[np.ndarray], scenes: Sequence[Scene], judge: classifier.Classifier, reference: np.ndarray
) -> dict[str, Any]:
    """Clips beside what was asked for."""
    found = [motion.measure(scene, clip, judge) for scene, clip in zip(scenes, clips, strict=True)]
    shares = {key: 100 * float(np.mean([one[key] for one in found])) for key in ("axis", "color", "shape")}
    paths = [tracker.track(clip, scene.color) for scene, clip in zip(scenes, clips, strict=True)]
    return {
        **shares,
        "jitter": list(median_interval([tracker.jitter(path) for path in paths])),
        "frame_distance": classifier.frechet_distance(features(judge, clips), reference),
    }


def main() -> None:
    """Make all clips, print a table and keep every number."""
    parser = options(__doc__, "less.json")
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--cfg", type=float, default=4.0)
    settings, began = vars(parser.parse_args()), time.monotonic()
    settings |= {"file": "toy_temporal.safetensors", "sampler": "euler"}
    judge = classifier.load_classifier(MODELS / "toy_classifier.safetensors")
    ways = tuple(DIRECTIONS)
    scenes = held_out(settings["prompts"], ways)
    drawn = [world.render(scene, motion.NUM_FRAMES, motion.FPS) for scene in held_out(256, ways, seed=1)]
    reference = features(judge, drawn)
    clips, seconds = run(scenes, settings)
    whole = clips["everything"], seconds["everything"]
    results = {}
    for way, made in clips.items():
        far = [float(np.abs(one.astype(float) - two).mean()) for one, two in zip(made, whole[0], strict=True)]
        shares = [one / two for one, two in zip(seconds[way], whole[1], strict=True)]
        results[way] = {
            **summary(made, scenes, judge, reference),
            "difference": list(median_interval(far)),
            "seconds": list(median_interval(shares)),
        }
    write(settings, {"results": results, "seconds": seconds}, began)
    rows = [[label, *(cell(row[key]) for row in results.values())] for key, label in ROWS.items()]
    sys.stdout.write(markdown([f"toy world, n {len(scenes)}", *results], rows) + "\n")


if __name__ == "__main__":
    main()
