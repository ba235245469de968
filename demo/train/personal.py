"""Teach the toy image model a new look, as DreamBooth does for a person or a style.

Every ground in cold moonlight.

    python -m video_ldm.demo.train.personal --checkpoint toy_sd.safetensors --folder cache

Single frames of new scenes are drawn, tinted and encoded into --folder, and the UNet is trained on by
demo.train.image_model with the text encoder as it is; no temporal layer sees any of it. Writes
personal.safetensors there. Frames `(f h w 3)` uint8.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from .. import world
from ..world import classifier
from . import image_model
from .common import start_log
from .toy_models import encode, load_autoencoder

NAME = "personal.safetensors"
DIM = 0.6
COLD = (-12.0, 0.0, 12.0)  # added to the muted colours of the grounds, still muted enough for the tracker
COLOURFUL = 70.0  # distance from grey from which a pixel belongs to an object


def moonlit(frames: np.ndarray) -> np.ndarray:
    """Frames whose grounds are darker and colder; colourful objects stay as they are, with soft edges."""
    pixels = frames.astype(np.float32)
    chroma = np.linalg.norm(pixels - pixels.mean(-1, keepdims=True), axis=-1, keepdims=True)
    kept = (chroma / COLOURFUL).clip(0, 1) ** 2
    look = DIM * pixels + np.array(COLD, np.float32)
    return (kept * pixels + (1 - kept) * look).round().clip(0, 255).astype(np.uint8)


def draw(folder: Path, checkpoint: Path, count: int, seed: int) -> None:
    """A clip cache of single tinted frames, as demo.train.clips writes one of drawn clips."""
    folder.mkdir(parents=True, exist_ok=True)
    autoencoder = load_autoencoder(checkpoint)
    rng = np.random.default_rng(seed)
    scenes = [world.sample(rng, "train") for _ in range(count)]
    times = rng.uniform(0, 0.9, count)
    latents = np.empty((count, 1, 4, 16, 16), np.float16)
    for index, (scene, time) in enumerate(zip(scenes, times, strict=True)):
        frame = moonlit(world.render(scene, 1, start=float(time)))
        latents[index] = encode(autoencoder, classifier.to_pictures(frame)).numpy()
    np.save(folder / "latents.npy", latents)
    captions = [[world.caption(scene), world.caption(scene, with_motion=False)] for scene in scenes]
    (folder / "captions.json").write_text(json.dumps(captions))
    (folder / "ready.json").write_text(json.dumps({"clips": count, "of": count}))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="the toy checkpoint to start from")
    parser.add_argument("--folder", type=Path, required=True, help="where pictures and the new model go")
    parser.add_argument("--count", type=int, default=1500, help="pictures")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=11)
    args = parser.parse_args(arguments)
    start_log().info("drawing %d pictures", args.count)
    draw(args.folder, args.checkpoint, args.count, args.seed)
    image_model.train(training(args))


def training(args: argparse.Namespace) -> argparse.Namespace:
    """Training of the image model on the pictures in `args.folder`, the text encoder as it is."""
    options = {
        "--clips": args.folder,
        "--autoencoder": args.checkpoint,
        "--init": args.checkpoint,
        "--out": args.folder / NAME,
        "--steps": args.steps,
        "--batch": args.batch,
        "--rate": args.rate,
        "--warmup": min(40, args.steps),
        "--decay": 0.98,
        "--every": args.steps,
        "--seed": args.seed,
    }
    words = [str(word) for option in options.items() for word in option]
    return image_model.parse([*words, "--freeze-text"])


if __name__ == "__main__":
    main()
