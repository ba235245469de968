"""Measure clips three times as long as trained on the toy world.

Convolution in time, squeezed positions, Video Windows.

    python -m video_ldm.benchmarks.toy_world.long_clips

Held-out prompts of objects that circle or stand, so that they belong in every frame. Prints a Markdown table
and writes every number to benchmarks/results/long_clips.json. Frames `(f h w 3)` uint8.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import Any

import numpy as np

from ...demo import comfy, world
from ...demo.world import classifier, tracker
from ...demo.world.scene import TURNS, Scene
from .common import MODELS, decoded, features, held_out, markdown, median_interval, models, options, write
from .interpolation import shown

TRAINED, FPS = 8, 8.0
WAYS = {"convolve": "convolve", "squeeze": "squeeze", "Video Windows": "refuse"}
WINDOWS = {
    "context_length": TRAINED,
    "context_overlap": TRAINED // 2,
    "context_schedule": "standard_static",
    "fuse_method": "pyramid",
    "closed_loop": False,
    "repeated_noise": False,
}
ROWS = {
    "jitter": "jitter of the track (px, median)",
    "jitter_circling": "that of what circles, times the drawn one",
    "jitter_standing": "that of what stands (px, median)",
    "frame_distance": "Frechet distance of single frames",
    "seen": "frames with the object (%)",
    "shape": "shape right (%)",
    "color": "colour right (%)",
    "seconds": "seconds a frame",
}
log = logging.getLogger("benchmarks.long_clips")


def graph(way: str, prompt: str, seed: int, settings: dict[str, Any]) -> comfy.Graph:
    """Text to a long video, one way or another."""
    size = {"width": 128, "height": 128, "batch_size": settings["frames"]}
    nodes = {
        **models(prompt, WAYS[way]),
        "latent": {"class_type": "EmptyLatentImage", "inputs": size},
        "sample": {
            "class_type": "VLDM_VideoKSampler",
            "inputs": {
                "model": ["layers", 0],
                "positive": ["positive", 0],
                "negative": ["negative", 0],
                "latent_image": ["latent", 0],
                "seed": seed,
                "steps": settings["steps"],
                "cfg": settings["cfg"],
                "sampler_name": "euler",
                "scheduler": "normal",
                "denoise": 1.0,
                "cfg_last_frame": 0.0,
                "noise_type": "independent",
                "noise_correlation": 0.5,
                "fps": FPS,
            },
        },
        **decoded("sample"),
    }
    if way == "Video Windows":
        nodes["windows"] = {"class_type": "VLDM_VideoWindows", "inputs": {"model": ["layers", 0], **WINDOWS}}
        nodes["sample"]["inputs"]["model"] = ["windows", 0]
    return nodes


def clips_of(way: str, scenes: list[Scene], settings: dict[str, Any]) -> tuple[list[np.ndarray], float]:
    """A clip per scene from a host of their own, and the median seconds a frame with loaded models."""
    clips, seconds = [], []
    with comfy.Host() as client:
        client.run(graph(way, "", len(scenes), {**settings, "steps": 1}))
        for seed, scene in enumerate(scenes):
            started = time.monotonic()
            clips.append(shown(client, graph(way, world.caption(scene), seed, settings)))
            seconds.append((time.monotonic() - started) / settings["frames"])
            log.info("%s, %d of %d", way, seed + 1, len(scenes))
    return clips, float(np.median(seconds))


def drawn_jitter(scene: Scene, num_frames: int) -> float:
    """The jitter of the scene as it was drawn: a circle bends, too, and that is no fault."""
    return tracker.jitter(tracker.track(world.render(scene, num_frames, FPS), scene.color))


def summary(
    judge: classifier.Classifier, clips: list[np.ndarray], scenes: list[Scene], reference: np.ndarray
) -> dict[str, Any]:
    """Compare clips with what was asked for."""
    pairs = list(zip(clips, scenes, strict=True))
    paths = [tracker.track(clip, scene.color) for clip, scene in pairs]
    jitters = np.array([tracker.jitter(path) for path in paths])
    drawn = np.array([drawn_jitter(scene, len(clip)) for clip, scene in pairs])
    circling = np.array([scene.motion in TURNS for scene in scenes])
    return {
        "jitter": float(np.nanmedian(jitters)),
        "jitter_circling": list(median_interval(jitters[circling] / drawn[circling])),
        "jitter_standing": list(median_interval(jitters[~circling])),
        "frame_distance": classifier.frechet_distance(features(judge, clips), reference),
        "seen": 100 * float(np.mean([~np.isnan(path[:, 0]) for path in paths])),
        "shape": 100 * float(np.mean([classifier.name(judge, c)["shape"] == s.shape for c, s in pairs])),
        "color": 100 * float(np.mean([tracker.main_colour(c) == s.color for c, s in pairs])),
        "seconds": float("nan"),
    }


def cell(value: float | list[float]) -> float | str:
    """A number, or a median with its interval in brackets."""
    return value if isinstance(value, float) else "{:.2f} ({:.2f} to {:.2f})".format(*value)


def main() -> None:
    parser = options(__doc__, "long_clips.json")
    parser.add_argument("--prompts", type=int, default=8)
    parser.add_argument("--frames", type=int, default=3 * TRAINED)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--cfg", type=float, default=4.0)
    settings, began = vars(parser.parse_args()), time.monotonic()
    motions = (*TURNS, "still")
    judge = classifier.load_classifier(MODELS / "toy_classifier.safetensors")
    scenes, frames = held_out(settings["prompts"], motions), settings["frames"]
    reference = features(judge, [world.render(scene, 8, FPS) for scene in held_out(256, motions, seed=1)])
    drawn = [world.render(scene, frames, FPS) for scene in scenes]
    results = {"drawn": summary(judge, drawn, scenes, reference)}
    for way in WAYS:
        clips, seconds = clips_of(way, scenes, settings)
        results[way] = {**summary(judge, clips, scenes, reference), "seconds": seconds}
    write(settings, {"results": results}, began)
    rows = [[label, *(cell(row[key]) for row in results.values())] for key, label in ROWS.items()]
    sys.stdout.write(markdown([f"toy world, {frames} frames", *results], rows) + "\n")


if __name__ == "__main__":
    main()
