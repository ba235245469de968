"""Measure whether temporal layers move to a personalised image model on the toy world.

Held-out prompts, both models.

    python -m video_ldm.benchmarks.toy_world.personalisation --cache personal

The toy image model is first trained on to a new look (demo/train/personal.py, a minute or two) unless the
folder --cache has the result; the temporal layers are those trained with the first model. Prints a Markdown
table and writes every number to benchmarks/results/personalisation.json. Frames `(f h w 3)` uint8.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from ...demo import comfy, world
from ...demo.train.personal import COLOURFUL, NAME, moonlit
from ...demo.world import classifier
from ...demo.world.scene import GROUNDS, Scene
from . import motion
from .common import MODELS, features, markdown, options, write
from .interpolation import shown

BASE = "toy_sd.safetensors"
KEPT = ("color", "shape", "direction", "jitter")
RUNS = {"base model": (BASE, 1.0), "personal model": (NAME, 1.0), "personal, layers off": (NAME, 0.0)}
ROWS = {
    "color": "colour right (%)", "shape": "shape right (%)", "direction": "direction right (%)",
    "seen": "frames with the object (%)", "jitter": "jitter of the track (px, median)",
    "look": "grounds in the new look (%)",
    "frame_distance": "Frechet distance of single frames to the model's own world",
}  # fmt: skip
log = logging.getLogger("benchmarks.personalisation")


def in_new_look(scene: Scene, frames: np.ndarray) -> bool:
    """True if the clip's ground is nearer to its colour in the new look than to that in the old one."""
    pixels = frames.reshape(-1, 3).astype(np.float32)
    chroma = np.linalg.norm(pixels - pixels.mean(1, keepdims=True), axis=1)
    ground = np.median(pixels[chroma < COLOURFUL], axis=0)
    old = np.array(GROUNDS[scene.ground], np.uint8).reshape(1, 1, 1, 3)
    gaps = [np.linalg.norm(ground - colour.reshape(3)) for colour in (old, moonlit(old))]
    return bool(gaps[1] < gaps[0])


def checkpoint(settings: dict[str, Any]) -> Path:
    """The personalised model, trained now if it is not in the cache folder."""
    path = settings["cache"] / NAME
    if not path.is_file():
        command = [sys.executable, "-m", "video_ldm.demo.train.personal", "--checkpoint", str(MODELS / BASE)]
        more = ["--folder", str(settings["cache"]), "--steps", str(settings["train_steps"])]
        more += ["--rate", str(settings["rate"])]
        subprocess.run([*command, *more, "--count", str(settings["pictures"])], check=True)
    return path


def make(run: str, scenes: list[Scene], personal: Path, settings: dict[str, Any]) -> list[np.ndarray]:
    """A clip per scene by one model; the scene's place is the seed."""
    model, strength = RUNS[run]
    host, clips = comfy.Host(), []
    with host as client:
        shutil.copy(personal, host.base / "models" / "checkpoints" / NAME)
        for seed, scene in enumerate(scenes):
            nodes = motion.graph(world.caption(scene), seed, strength, settings)
            nodes["model"]["inputs"]["ckpt_name"] = model
            clips.append(shown(client, nodes))
            log.info("%s, %d of %d", run, seed + 1, len(scenes))
    return clips


def summary(
    judge: classifier.Classifier, clips: list[np.ndarray], scenes: list[Scene], reference: np.ndarray
) -> dict[str, Any]:
    """Compare clips with what was asked for, and count grounds in the new look."""
    measures = [motion.measure(scene, clip, judge) for scene, clip in zip(scenes, clips, strict=True)]
    look = np.mean([in_new_look(scene, clip) for scene, clip in zip(scenes, clips, strict=True)])
    total = motion.summary(measures, features(judge, clips), reference)
    return {**total, "look": 100 * float(look), "motion": motion.motion_summary(measures)}


def main() -> None:
    parser = options(__doc__, "personalisation.json")
    parser.add_argument(
        "--cache", type=Path, required=True, help="folder of the personalised model; made when missing"
    )
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--cfg", type=float, default=4.0)
    parser.add_argument("--train-steps", type=int, default=400)
    parser.add_argument("--pictures", type=int, default=1500)
    parser.add_argument("--rate", type=float, default=1e-4, help="how far every step of its training goes")
    settings, began = vars(parser.parse_args()), time.monotonic()
    settings |= {"file": "toy_temporal.safetensors", "sampler": "euler", "scenes_seed": 2026}
    judge = classifier.load_classifier(MODELS / "toy_classifier.safetensors")
    personal, scenes = checkpoint(settings), motion.held_out_scenes(settings["prompts"])
    worlds = {BASE: [world.render(scene, 8) for scene in motion.held_out_scenes(256, seed=1)]}
    worlds[NAME] = [moonlit(clip) for clip in worlds[BASE]]
    references = {model: features(judge, clips) for model, clips in worlds.items()}
    results = {
        run: summary(judge, make(run, scenes, personal, settings), scenes, references[model])
        for run, (model, _) in RUNS.items()
    }
    base, moved = results["base model"], results["personal model"]
    write(settings, {"results": results, "change": {key: moved[key] - base[key] for key in KEPT}}, began)
    rows = [
        [label, *(row[key] for row in results.values()), moved[key] - base[key]]
        for key, label in ROWS.items()
    ]
    moves = motion.motion_table({run: row["motion"] for run, row in results.items()})
    sys.stdout.write(markdown(["toy world", *results, "change by the move"], rows) + "\n\n" + moves + "\n")


if __name__ == "__main__":
    main()
