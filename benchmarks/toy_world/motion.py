"""Measure text to video on the toy world.

Held-out prompts through the real graph, temporal layers on and off.

    python -m video_ldm.benchmarks.toy_world.motion

Prints a Markdown table and writes it with every number to benchmarks/results/toy_motion.json. Frames `(f h w
3)` uint8.
"""

from __future__ import annotations

import argparse
import datetime
import io
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...demo import comfy, world
from ...demo.world import classifier, tracker
from ...demo.world.scene import DIRECTIONS, Scene
from ...demo.world.video_distance import shifted
from ...temporal.sampling.rollout import digest
from .common import add_layers, kept, markdown, median_interval, share_interval

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "demo" / "models"
RESULTS = ROOT / "benchmarks" / "results" / "toy_motion.json"
NUM_FRAMES = 8
FPS = 8.0
log = logging.getLogger("benchmarks.motion")

Measure = dict[str, Any]


def held_out_scenes(count: int, seed: int = 2026) -> list[Scene]:
    """Scenes of the test split that move left, right, up and down in turn."""
    rng = np.random.default_rng(seed)
    ways = tuple(DIRECTIONS)
    return [world.sample(rng, "test", ways[index % len(ways)]) for index in range(count)]


def graph(prompt: str, seed: int, strength: float, settings: dict[str, Any]) -> comfy.Graph:
    """Text to video as an artist wires it; strength 0 is the image model."""
    text = {"class_type": "CLIPTextEncode"}
    return {
        "model": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "toy_sd.safetensors"}},
        "layers": {
            "class_type": "VLDM_LoadTemporalLayers",
            "inputs": {
                "model": ["model", 0],
                "file": settings["file"],
                "strength": strength,
                "alpha_input": -1.0,
                "alpha_middle": -1.0,
                "alpha_output": -1.0,
            },
        },
        "positive": {**text, "inputs": {"clip": ["model", 1], "text": prompt}},
        "negative": {**text, "inputs": {"clip": ["model", 1], "text": ""}},
        "latent": {
            "class_type": "EmptyLatentImage",
            "inputs": {"width": 128, "height": 128, "batch_size": NUM_FRAMES},
        },
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
                "sampler_name": settings["sampler"],
                "scheduler": "normal",
                "denoise": 1.0,
                "cfg_last_frame": 0.0,
                "noise_type": "independent",
                "noise_correlation": 0.5,
                "fps": FPS,
            },
        },
        "decode": {
            "class_type": "VLDM_TemporalVAEDecode",
            "inputs": {"samples": ["sample", 0], "vae": ["model", 2], "chunk_length": 16, "overlap": 4},
        },
        "show": {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}},
    }


def make_clip(
    client: comfy.Client, prompt: str, seed: int, strength: float, settings: dict[str, Any]
) -> np.ndarray:
    """Queue one graph, wait for its history and fetch its frames. Raises HostError."""
    number = client.queue(graph(prompt, seed, strength, settings))
    while not (history := client.get(f"/history/{number}")):
        time.sleep(0.1)
    status = history[number]["status"]
    if not status["completed"]:
        raise comfy.HostError(f"The graph for {prompt!r} failed: {status['messages'][-1]}")
    shown = history[number]["outputs"]["show"]["images"]
    return np.stack([np.asarray(Image.open(io.BytesIO(client.view(file))).convert("RGB")) for file in shown])


def make_clips(name: str, scenes: list[Scene], settings: dict[str, Any]) -> list[np.ndarray]:
    """A clip per scene from a host of their own, with the layers "on" or "off".

    The scene's place is the seed. Clips in the folder `keep` are taken from there.
    """
    clips, strength = [], float(name == "on")
    with comfy.Host() as client:
        for index, scene in enumerate(scenes):
            make = partial(make_clip, client, world.caption(scene), index, strength, settings)
            clips += kept(settings["keep"], f"{name}_{index}_{mark(settings)}", lambda make=make: [make()])
            log.info("%s %d of %d", name, index + 1, len(scenes))
    return clips


def mark(settings: dict[str, Any]) -> str:
    """Mark of the layers and the settings that a kept clip depends on: others make another one."""
    layers = (MODELS / settings["file"]).read_bytes()
    return digest(layers, json.dumps([settings[name] for name in ("steps", "cfg", "sampler")]))[:8]


def measure(scene: Scene, frames: np.ndarray, judge: classifier.Classifier) -> Measure:
    """Compare one clip with what was asked for."""
    names = classifier.name(judge, frames)
    path = tracker.track(frames, scene.color)
    return {
        "prompt": world.caption(scene),
        "color": tracker.main_colour(frames) == scene.color,
        "shape": names["shape"] == scene.shape,
        "direction": tracker.direction(path) == scene.motion,
        "jitter": tracker.jitter(path),
        "seen": float((~np.isnan(path[:, 0])).mean()),
        "velocity": tracker.velocity(path).tolist(),
        **motion(scene, tracker.velocity(path)),
    }


def motion(scene: Scene, velocity: np.ndarray) -> Measure:
    """Axis, sense and speed of a velocity in pixels a frame.

    The sense is only asked where the axis is right.
    """
    if scene.motion not in DIRECTIONS:
        return {"axis": None, "sense": None, "speed": float("nan")}
    axis, sense, forward = tracker.along(velocity, scene.motion)
    speed = abs(forward) / (scene.speed / FPS) if axis else float("nan")
    return {"axis": axis, "sense": sense if axis else None, "speed": speed}


def motion_summary(measures: list[Measure]) -> dict[str, list[float]]:
    """Axis and sense in percent, the median speed as a share of the drawn one, and 95 % intervals."""
    found = {}
    for key in ("direction", "axis", "sense"):
        asked = [m[key] for m in measures if m[key] is not None]
        found[key] = [100 * part for part in share_interval(sum(asked), len(asked))]
    return {**found, "speed": list(median_interval([m["speed"] for m in measures]))}


def motion_table(results: dict[str, dict[str, list[float]]]) -> str:
    """Axis, sense and speed as a Markdown table, intervals in brackets."""
    labels = {
        "direction": "direction right (%)",
        "axis": "axis right (%)",
        "sense": "sense right where the axis is (%)",
        "speed": "speed, times the drawn one (median)",
    }
    rows = [
        [label, *("{:.2f} ({:.2f} to {:.2f})".format(*values[key]) for values in results.values())]
        for key, label in labels.items()
    ]
    return markdown(["toy world", *results], rows)


def recount(path: Path) -> dict[str, dict[str, list[float]]]:
    """Axis, sense and speed of clips that were measured before, from the velocities in their file."""
    found = json.loads(path.read_text("utf-8"))
    totals = {}
    for name, clips in found["clips"].items():
        pairs = zip(held_out_scenes(len(clips)), clips, strict=True)
        totals[name] = motion_summary([{**m, **motion(s, np.array(m["velocity"]))} for s, m in pairs])
    return totals


def summary(measures: list[Measure], features: np.ndarray, real: np.ndarray) -> dict[str, float]:
    """Shares in percent, the median track's jitter in pixels, the distance of frames to rendered ones."""
    shares = {
        key: 100 * float(np.mean([m[key] for m in measures]))
        for key in ("color", "shape", "direction", "seen")
    }
    jitter = float(np.nanmedian([m["jitter"] for m in measures]))
    return {**shares, "jitter": jitter, "frame_distance": classifier.frechet_distance(features, real)}


def farther(
    on: list[np.ndarray], off: list[np.ndarray], real: np.ndarray, draws: int = 200
) -> dict[str, list[float]]:
    """Percent by which single frames with the layers are farther from rendered ones than those without.

    Features of every clip `(f d)`, of the same prompts on both sides, which are drawn again together for the
    95 % interval (bootstrap, shifted by how far drawing again moves the middle). Frames of one clip are more
    alike than frames of the image model, which count for more different samples; so it is told for one frame
    of every clip, too, a different one in turn.
    """
    takes = {
        "all frames": lambda clips, chosen: np.concatenate([clips[i] for i in chosen]),
        "one of each clip": lambda clips, chosen: np.stack([clips[i][i % len(clips[i])] for i in chosen]),
    }
    again = np.random.default_rng(0).integers(len(on), size=(draws, len(on)))

    def percent(take: Callable[..., np.ndarray], chosen: np.ndarray) -> float:
        ours, theirs = (classifier.frechet_distance(take(clips, chosen), real) for clips in (on, off))
        return 100 * (ours / theirs - 1)

    found = {}
    for name, take in takes.items():
        value = percent(take, np.arange(len(on)))
        found[name] = list(shifted(value, [percent(take, chosen) for chosen in again]))
    return found


def table(results: dict[str, dict[str, float]]) -> str:
    """The results as a Markdown table, one row per measure."""
    rows = {
        "color": "colour right (%)",
        "shape": "shape right (%)",
        "direction": "direction right (%)",
        "seen": "frames with the object (%)",
        "jitter": "jitter of the track (px, median)",
        "frame_distance": "Frechet distance of single frames",
    }
    names = list(results)
    lines = ["| toy world | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for key, label in rows.items():
        lines.append(f"| {label} | " + " | ".join(f"{results[name][key]:.2f}" for name in names) + " |")
    return "\n".join(lines)


def run(scenes: list[Scene], settings: dict[str, Any]) -> dict[str, Any]:
    """All scenes with the layers on and off at the same time, and rendered as the truth."""
    judge = classifier.load_classifier(settings["classifier"])
    real = [world.render(scene, NUM_FRAMES, FPS) for scene in held_out_scenes(256, seed=1)]
    real_features = _features(judge, real)
    clips = {"rendered": [world.render(scene, NUM_FRAMES, FPS) for scene in scenes]}
    with ThreadPoolExecutor() as pool:
        made = pool.map(lambda name: make_clips(name, scenes, settings), ("on", "off"))
        clips["on"], clips["off"] = made
    details = {
        name: [measure(scene, clip, judge) for scene, clip in zip(scenes, made, strict=True)]
        for name, made in clips.items()
    }
    seen = {name: [_features(judge, [clip]) for clip in made] for name, made in clips.items()}
    totals = {name: summary(details[name], np.concatenate(seen[name]), real_features) for name in clips}
    if settings["sheet"]:
        _save_sheet(settings["sheet"], clips)
    moved = {name: motion_summary(details[name]) for name in clips}
    quality = farther(seen["on"], seen["off"], real_features)
    return {"results": totals, "motion": moved, "quality": quality, "clips": details}


def _features(judge: classifier.Classifier, clips: list[np.ndarray]) -> np.ndarray:
    with torch.no_grad():
        return np.concatenate(
            [judge.features(classifier.to_pictures(clip)).double().numpy() for clip in clips]
        )


def _save_sheet(path: Path, clips: dict[str, list[np.ndarray]], rows: int = 12) -> None:
    """A contact sheet: a clip per row, on beside off."""
    pairs = zip(clips["on"][:rows], clips["off"][:rows], strict=True)
    sheet = np.concatenate([np.concatenate([*on, *off], 1) for on, off in pairs])
    Image.fromarray(sheet).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--prompts", type=int, default=128)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--cfg", type=float, default=4.0)
    parser.add_argument("--sampler", default="euler")
    add_layers(parser)
    parser.add_argument("--classifier", type=Path, default=MODELS / "toy_classifier.safetensors")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument(
        "--keep", type=Path, help="folder of clips that are done, for the next run of the same"
    )
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet of the first clips")
    parser.add_argument(
        "--recount", action="store_true", help="make no clips: axis, sense and speed of those in --out"
    )
    settings = vars(parser.parse_args())
    if settings["recount"]:
        sys.stdout.write(motion_table(recount(settings["out"])) + "\n")
        return
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    began = time.monotonic()
    found = run(held_out_scenes(settings["prompts"]), settings)
    found["settings"] = {key: settings[key] for key in ("prompts", "steps", "cfg", "sampler", "file")}
    found["run"] = {
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__,
        "device": f"cpu, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "seconds": round(time.monotonic() - began),
    }
    settings["out"].parent.mkdir(parents=True, exist_ok=True)
    settings["out"].write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(table(found["results"]) + "\n\n" + motion_table(found["motion"]) + "\n\n")
    for name, numbers in found["quality"].items():
        told = "{:.1f} % ({:.1f} to {:.1f})".format(*numbers)
        sys.stdout.write(f"Single frames farther from rendered ones than without layers, {name}: {told}\n")


if __name__ == "__main__":
    main()
