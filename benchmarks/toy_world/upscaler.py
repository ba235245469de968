"""Measure the toy video upscaler on held-out clips: bicubic, frame by frame, and as a video, in one run.

    python -m video_ldm.benchmarks.toy_world.upscaler

Prints a Markdown table and writes it with every number to benchmarks/results/upscaler.json. The toy Frechet
distances are those of `demo/world/classifier.py`, on squares of 128 x 128 pixels of the enlarged frames: of
single frames (toy FID); and of clips (toy FVD), where its features see the frames and, four times as strong,
what changes from each frame to the next.

Frames `(f 3 512 512)` in 0..1, features `(n d)`.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import platform
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from ...demo import world
from ...demo.train.upscaler import FRAMES, RATES, SCALE, clip, enlarged, psnr, reduce
from ...demo.world.classifier import Classifier, frechet_distance, load_classifier
from ...nodes.host_boot import keep_freed_memory
from ...temporal.training.decoder.trainer import flicker_of_error
from ...temporal.upscaler import UpscaleSettings, VideoUpscaler, load_upscaler
from ...temporal.upscaler.model import enlarge
from .common import markdown, median_interval

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "demo" / "models"
RESULTS = ROOT / "benchmarks" / "results" / "upscaler.json"
SQUARE = 128
CHANGE = 4.0  # the grain of the toy world, made as strong as its edges
ROWS = {
    "fvd": "toy FVD",
    "fid": "toy FID",
    "flicker": "flicker of the error (of 255)",
    "psnr": "PSNR (dB)",
    "colour": "largest shift of a mean colour (of 255)",
    "seconds": "seconds a frame",
}
log = logging.getLogger("benchmarks.upscaler")


def held_out_clips(count: int, seed: int = 2029) -> list[Tensor]:
    """Clips of the test split, drawn large; the four frame rates in turn."""
    rng = np.random.default_rng(seed)
    return [clip(world.sample(rng, "test"), RATES[number % len(RATES)], 0.0) for number in range(count)]


def squares(frames: Tensor) -> Tensor:
    """All squares of a clip: (squares f 3 128 128)."""
    return rearrange(frames, "f c (y h) (x w) -> (y x) f c h w", h=SQUARE, w=SQUARE)


@torch.no_grad()
def picture_features(judge: Classifier, clips: list[Tensor]) -> np.ndarray:
    """Of the first and the middle frame of every square."""
    parts = [judge.features(squares(frames)[:, [0, len(frames) // 2]].flatten(0, 1)) for frames in clips]
    return torch.cat(parts).double().numpy()


@torch.no_grad()
def video_features(judge: Classifier, clips: list[Tensor]) -> np.ndarray:
    """Of every square as a clip: the means over time of its frames' features and of those of its changes."""
    parts = []
    for frames in clips:
        cut = squares(frames)
        count = len(cut)
        changes = 0.5 + CHANGE * cut.diff(dim=1)
        seen = [judge.features(x.flatten(0, 1)).unflatten(0, (count, -1)).mean(1) for x in (cut, changes)]
        parts.append(torch.cat(seen, dim=1))
    return torch.cat(parts).double().numpy()


def enlarge_all(
    upscaler: VideoUpscaler, clips: list[Tensor], args: argparse.Namespace
) -> dict[str, tuple[list[Tensor], float]]:
    """The clips enlarged in every way, with the seconds that a frame took."""
    ways = {
        "bicubic": lambda given: enlarge(given, SCALE).clamp(0, 1),
        "frame by frame, noise of its own": lambda given: enlarged(
            upscaler, given, UpscaleSettings(args.steps, args.noise_level, strength=0.0, shared_noise=0.0)
        ),
        "frame by frame": lambda given: enlarged(
            upscaler, given, UpscaleSettings(args.steps, args.noise_level, strength=0.0)
        ),
        "video": lambda given: enlarged(upscaler, given, UpscaleSettings(args.steps, args.noise_level)),
    }
    for share in args.shared_noise:
        settings = UpscaleSettings(args.steps, args.noise_level, shared_noise=share)
        ways[f"video, {share:g} of the noise shared"] = partial(enlarged, upscaler, settings=settings)
    made = {}
    for name, way in ways.items():
        begin = time.process_time()
        made[name] = [way(reduce(large)) for large in clips]
        seconds = (time.process_time() - begin) / (FRAMES * len(clips))
        made[name] = (made[name], seconds)
        log.info("%s: %.2f s a frame", name, seconds)
    return made


def measure(judge: Classifier, made: list[Tensor], true: list[Tensor], seconds: float) -> dict[str, Any]:
    """Compare one way of enlarging with the clips as drawn."""
    pairs = list(zip(made, true, strict=True))
    flickers = [255 * flicker_of_error(ours, theirs).item() for ours, theirs in pairs]
    return {
        "fvd": frechet_distance(video_features(judge, made), video_features(judge, true)),
        "fid": frechet_distance(picture_features(judge, made), picture_features(judge, true)),
        "flicker": float(np.mean(flickers)),
        "flickers": [round(value, 3) for value in flickers],  # of each clip
        "psnr": float(np.mean([psnr(ours, theirs) for ours, theirs in pairs])),
        "colour": 255 * max(float((a.mean((2, 3)) - b.mean((2, 3))).abs().max()) for a, b in pairs),
        "seconds": seconds,
    }


def table(results: dict[str, dict[str, Any]]) -> str:
    """The results as a Markdown table, one row per measure."""
    lines = ["| toy world | " + " | ".join(results) + " |", "|---" * (len(results) + 1) + "|"]
    for key, label in ROWS.items():
        lines.append(f"| {label} | " + " | ".join(f"{values[key]:.2f}" for values in results.values()) + " |")
    return "\n".join(lines)


def shares_of_video(results: dict[str, dict[str, Any]]) -> str:
    """Flicker of every way as a share of that of the video.

    Medians over the same clips with their 95 % intervals.
    """
    video, rows = results["video"]["flickers"], []
    for name, values in results.items():
        shares = [mine / theirs for mine, theirs in zip(values["flickers"], video, strict=True)]
        rows.append([name, "{:.2f} ({:.2f} to {:.2f})".format(*median_interval(shares))])
    return markdown(["flicker of the error", "times that of the video"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=48)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--noise-level", type=float, default=0.0)
    parser.add_argument(
        "--shared-noise",
        type=float,
        nargs="*",
        default=[],
        help="also with these shares of noise in all frames",
    )
    parser.add_argument("--file", type=Path, default=MODELS / "toy_upscaler.safetensors")
    parser.add_argument("--classifier", type=Path, default=MODELS / "toy_classifier.safetensors")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    keep_freed_memory()
    began = time.monotonic()
    judge, true = load_classifier(args.classifier), held_out_clips(args.clips)
    made = enlarge_all(load_upscaler(args.file, dtype=torch.float32), true, args)
    found: dict[str, Any] = {
        "results": {name: measure(judge, clips, true, seconds) for name, (clips, seconds) in made.items()},
        "settings": {
            "clips": args.clips,
            "steps": args.steps,
            "noise_level": args.noise_level,
            "shared_noise": args.shared_noise,
        },
        "run": {
            "date": datetime.date.today().isoformat(),
            "torch": torch.__version__,
            "device": f"cpu, {os.cpu_count()} cores",
            "python": platform.python_version(),
            "seconds": round(time.monotonic() - began),
        },
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(table(found["results"]) + "\n\n" + shares_of_video(found["results"]) + "\n")


if __name__ == "__main__":
    main()
