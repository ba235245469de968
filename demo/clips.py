"""`python demo clips FOLDER`: draw clips of one motion, with captions, to teach a motion LoRA with.

Frames (f h w 3).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import imageio_ffmpeg
import numpy as np

from . import world
from .world.scene import CAMERAS, DIRECTIONS, DURATION, SIDE, TURNS, Scene

FPS = 8.0
FRAMES = round(DURATION * FPS)
MOTIONS = (*CAMERAS, *DIRECTIONS, *TURNS)
SEED = 77


def main(arguments: list[str]) -> None:
    """Command line of `python demo clips`."""
    options = parse(arguments)
    folder: Path = options.folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        sys.exit(f"{folder} is there already and is not empty. Give the name of a new folder.")
    write_clips(folder, options.motion, options.count)
    print(
        f"{options.count} clips, {options.motion}, each with its caption in a .txt file: {folder.resolve()}"
    )


def parse(arguments: list[str]) -> argparse.Namespace:
    """Options of the command."""
    parser = argparse.ArgumentParser("python demo clips", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="new folder to write")
    parser.add_argument(
        "--motion",
        choices=MOTIONS,
        default="pan right",
        help="what all clips do: a move of the camera, or a way that things go (%(default)s)",
    )
    parser.add_argument("--count", type=int, default=20, help="clips (%(default)s)")
    return parser.parse_args(arguments)


def write_clips(folder: Path, motion: str, count: int) -> None:
    """Clips of a motion as .mp4 files, with captions that do not name it."""
    rng = np.random.default_rng(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        scene = scene_with(rng, motion)
        path = folder / f"{number:03}"
        path.with_suffix(".txt").write_text(world.caption(scene, with_motion=False), "utf-8")
        write_film(path.with_suffix(".mp4"), world.render(scene, FRAMES, FPS))


def scene_with(rng: np.random.Generator, motion: str) -> Scene:
    """A scene to train on that moves in one way."""
    if motion not in CAMERAS:
        return world.sample(rng, "train", motion)
    while (scene := world.sample(rng, "train", "camera")).camera != motion:
        pass
    return scene


def write_film(path: Path, frames: np.ndarray) -> None:
    """Frames as an .mp4 file."""
    size = (SIDE, SIDE)
    film = imageio_ffmpeg.write_frames(str(path), size, fps=round(FPS), quality=9, macro_block_size=1)
    film.send(None)
    for frame in frames:
        film.send(np.ascontiguousarray(frame).tobytes())
    film.close()
