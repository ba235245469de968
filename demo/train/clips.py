"""Render clips of the toy world and keep their latents and captions for training.

    python -m video_ldm.demo.train.clips --autoencoder toy_sd.safetensors --out clips --count 6000

Writes into --out: latents.npy, `(count frames 4 16 16)` float16 at the scale diffusion works in, 16 frames a
second by default; captions.json, for each clip its sentence and the sentence without motion; ready.json, how
many clips are done. With --window 64 the latents are 8 x 8, those of a square of 64 pixels around the middle
of the object's way: a quarter of the computing, for learning how things move there.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from multiprocessing import Pool
from pathlib import Path

import numpy as np
import torch
from einops import rearrange

from .. import world
from ..world.scene import DIRECTIONS, SIDE, TURNS, Scene
from .common import start_log
from .toy_models import encode, load_autoencoder

NUM_FRAMES = 16
DRAWN_TOGETHER = 16
FPS = 16.0
AROUND = 12.0  # pixels that the middle of a window may be off the middle of the way


def drawn(numbered: tuple[int, Scene], args: argparse.Namespace) -> np.ndarray:
    """A clip of a scene `(f h w 3)` uint8, whole or the window of it."""
    number, scene = numbered
    clip = world.render(scene, args.frames, args.fps)
    if args.window == SIDE:
        return clip
    dice = np.random.default_rng((args.seed, number, args.window))
    middle = scene.on_screen((args.frames - 1) / args.fps / 2)[:2] + dice.uniform(-AROUND, AROUND, 2)
    x, y = (int(min(max(v - args.window / 2, 0), SIDE - args.window)) for v in middle)
    return clip[:, y : y + args.window, x : x + args.window]


def scene_of(number: int, args: argparse.Namespace) -> Scene:
    """The scene of a clip; straight ones and turning ones go one way after the other."""
    ways = (*(tuple(DIRECTIONS) * args.straight), *(tuple(TURNS) * args.turning))
    motion = ways[number % len(ways)] if ways else None
    return world.sample(np.random.default_rng((args.seed, number)), args.split, motion)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--autoencoder", type=Path, required=True, help="a toy checkpoint or autoencoder file"
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="folder to write; a cache that is not complete is gone on with",
    )
    parser.add_argument("--count", type=int, default=6000)
    parser.add_argument("--fps", type=float, default=FPS)
    parser.add_argument("--frames", type=int, default=NUM_FRAMES, help="frames per clip")
    parser.add_argument(
        "--straight", action="store_true", help="only shapes that move left, right, up or down"
    )
    parser.add_argument("--turning", action="store_true", help="only shapes that circle")
    parser.add_argument("--window", type=int, default=SIDE, help="side of the square to keep, in pixels")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw")
    parser.add_argument("--device", default="cpu", help="where they are encoded, such as cuda")
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    log = start_log()
    args.out.mkdir(parents=True, exist_ok=True)
    scenes = [scene_of(number, args) for number in range(args.count)]
    captions = [[world.caption(scene), world.caption(scene, with_motion=False)] for scene in scenes]
    (args.out / "captions.json").write_text(json.dumps(captions))
    autoencoder = load_autoencoder(args.autoencoder).to(args.device)
    done, cache = args.out / "ready.json", args.out / "latents.npy"
    first = json.loads(done.read_text())["clips"] if done.exists() else 0
    latents = np.lib.format.open_memmap(
        cache,
        "r+" if first else "w+",
        np.float16,
        (args.count, args.frames, 4, args.window // 8, args.window // 8),
    )
    with Pool(args.workers) as pool:
        numbered = list(enumerate(scenes))[first:]
        clips = pool.imap(partial(drawn, args=args), numbered, chunksize=DRAWN_TOGETHER)
        for index, clip in enumerate(clips, first):
            frames = torch.from_numpy(clip).to(args.device)
            pictures = rearrange(frames, "f h w c -> f c h w").float() / 255
            latents[index] = encode(autoencoder, pictures).cpu().numpy()
            if (index + 1) % 100 == 0 or index + 1 == args.count:
                latents.flush()
                (args.out / "ready.json").write_text(
                    json.dumps({"clips": index + 1, "of": args.count, "fps": args.fps})
                )
                log.info("%d of %d clips", index + 1, args.count)


if __name__ == "__main__":
    main()
