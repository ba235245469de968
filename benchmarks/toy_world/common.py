"""Parts that the benchmarks of the toy world share.

Graphs of its models, frames and latents through a host, results on disk.

Frames `(f h w 3)` uint8, latents `(f 4 16 16)` as the host's nodes hold them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import math
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from ...demo import comfy, world
from ...demo.train.toy_models import LATENT_SCALE, encode
from ...demo.world import classifier
from ...demo.world.scene import Scene
from ...temporal.weights.whole_file import whole_file

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "demo" / "models"
LAYERS = "toy_temporal.safetensors"
RESULTS = ROOT / "benchmarks" / "results"
SEED = 2028  # of the scenes that are asked for; the scenes of a distance's reference have another


def held_out(count: int, motions: Sequence[str], seed: int = SEED) -> list[Scene]:
    """Scenes of the test split with these motions in turn."""
    rng = np.random.default_rng(seed)
    return [world.sample(rng, "test", motions[number % len(motions)]) for number in range(count)]


def models(prompt: str, longer_clips: str = "refuse", file: str = LAYERS) -> comfy.Graph:
    """The toy checkpoint with temporal layers, and both prompts."""
    layers = {
        "model": ["model", 0], "file": file, "strength": 1.0, "alpha_input": -1.0,
        "alpha_middle": -1.0, "alpha_output": -1.0, "longer_clips": longer_clips,
    }  # fmt: skip
    return {
        "model": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "toy_sd.safetensors"}},
        "layers": {"class_type": "VLDM_LoadTemporalLayers", "inputs": layers},
        "positive": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["model", 1], "text": prompt}},
        "negative": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["model", 1], "text": ""}},
    }


def decoded(source: str) -> comfy.Graph:
    """The frames of a node's latents, shown."""
    decode = {"samples": [source, 0], "vae": ["model", 2], "chunk_length": 16, "overlap": 4}
    return {
        "decode": {"class_type": "VLDM_TemporalVAEDecode", "inputs": decode},
        "show": {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}},
    }


def give_latents(host: comfy.Host, name: str, autoencoder: nn.Module, frames: np.ndarray) -> None:
    """Encode frames into a file that the host's Load Latent finds by its name."""
    latents = encode(autoencoder, classifier.to_pictures(frames)) / LATENT_SCALE
    version = {"latent_format_version_0": torch.tensor([])}
    (host.base / "input").mkdir(exist_ok=True)
    save_file({"latent_tensor": latents.contiguous(), **version}, host.base / "input" / name)


@torch.no_grad()
def features(judge: classifier.Classifier, clips: Sequence[np.ndarray]) -> np.ndarray:
    """The classifier's features of every frame of all clips, `(n d)`."""
    return np.concatenate([judge.features(classifier.to_pictures(clip)).double().numpy() for clip in clips])


def share_interval(hits: int, count: int, z: float = 1.96) -> tuple[float, float, float]:
    """A share in 0..1 and the ends of its 95 % interval (Wilson 1927).

    All of it where there is nothing to count.
    """
    if not count:
        return float("nan"), 0.0, 1.0
    share, width = hits / count, z * z / count
    middle = (share + width / 2) / (1 + width)
    half = z / (1 + width) * math.sqrt(share * (1 - share) / count + width / (4 * count))
    return share, middle - half, middle + half


def median_interval(values: Sequence[float], seed: int = 0, draws: int = 2000) -> tuple[float, float, float]:
    """A median and the ends of its 95 % interval (bootstrap); values that are no number are left out."""
    seen = np.asarray([value for value in values if value == value])
    if not len(seen):
        return (float("nan"),) * 3
    medians = np.median(np.random.default_rng(seed).choice(seen, (draws, len(seen))), axis=1)
    return float(np.median(seen)), *(float(end) for end in np.percentile(medians, (2.5, 97.5)))


def markdown(header: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """A Markdown table; numbers get two decimals."""
    lines = [list(header), ["---"] * len(header)]
    lines += [[cell if isinstance(cell, str) else f"{cell:.2f}" for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def kept(folder: Path | None, name: str, make: Callable[[], list[np.ndarray]]) -> list[np.ndarray]:
    """Parts of a clip, made once where there is a folder for them: the next run takes them from there."""
    if folder is None:
        return make()
    path = folder / f"{name}.npz"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as made, made.open("wb") as file:
            np.savez_compressed(file, *make())
    with np.load(path) as parts:
        return [parts[name] for name in parts.files]


def options(about: str, results: str) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes, and progress with times on stderr."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--out", type=Path, default=RESULTS / results, help="where the numbers go")
    return parser


def add_layers(parser: argparse.ArgumentParser) -> None:
    """The option that names the temporal layers, as `file`."""
    parser.add_argument("--file", default=LAYERS, help="temporal layers among the bundled models")


def add_hold_still(parser: argparse.ArgumentParser) -> None:
    """The option for what Latent Interpolate takes for still; its default is that of the node."""
    parser.add_argument("--hold-still", type=float, default=0.35, help="0 leaves frames as sampled")


def write(settings: dict[str, Any], found: dict[str, Any], began: float) -> None:
    """Everything found, how it was made and on what, as JSON in the file `settings["out"]`."""
    kept = {key: value for key, value in settings.items() if not isinstance(value, Path | None)}
    facts = {
        "date": datetime.date.today().isoformat(), "torch": torch.__version__,
        "device": f"cpu, {os.cpu_count()} cores", "python": platform.python_version(),
        "seconds": round(time.monotonic() - began),
    }  # fmt: skip
    settings["out"].parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"settings": {"scenes_seed": SEED, **kept}, "run": facts, **found}, indent=1)
    settings["out"].write_text(text + "\n", "utf-8")
