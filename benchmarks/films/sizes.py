"""Size on disk of films.

Bits per pixel and frame of every format, for drawn clips, the same with grain, and pure noise.

    python -m video_ldm.benchmarks.films.sizes

Clips of the toy world are enlarged to the size of a film; the grain is normal noise of every frame's own,
with a deviation of 4 of 255; the noise is uniform, the worst that can be encoded. Each is written by the
pack's own writer at several qualities. The sizes with grain are what Render Video announces. Prints a
Markdown table and writes every number to benchmarks/results/films.json. Frames `(f h w 3)` in 0..1.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from ...demo import world
from ...temporal.video import FORMATS, Film, FilmWriter
from ...temporal.video.formats import QUALITIES
from ..toy_world import common

FPS = 24.0
GRAIN = 4 / 255
CLIPS = 3
CHUNK = 8  # frames


def drawn(number: int, frames: int, side: int) -> Tensor:
    """A held-out clip of the toy world in a film's size."""
    scene = world.sample(np.random.default_rng((2030, number)), "test")
    small = torch.from_numpy(world.render(scene, frames, FPS))
    small = rearrange(small, "f h w c -> f c h w").float() / 255
    large = functional.interpolate(small, size=(side, side), mode="bicubic", align_corners=False)
    return rearrange(large, "f c h w -> f h w c").clamp(0, 1)


def contents(frames: int, side: int) -> dict[str, list[Tensor]]:
    """Frames that are encoded, by name."""
    clips = [drawn(number, frames, side) for number in range(CLIPS)]
    generator = torch.Generator().manual_seed(0)
    grain = [(clip + GRAIN * torch.randn(clip.shape, generator=generator)).clamp(0, 1) for clip in clips]
    return {"drawn": clips, "grain": grain, "noise": [torch.rand(frames, side, side, 3, generator=generator)]}


def bits(clip: Tensor, name: str, quality: int) -> float:
    """Bits per pixel and frame of a clip as a film."""
    with tempfile.TemporaryDirectory(prefix="video_ldm_") as folder:
        path = Path(folder) / "film"
        with FilmWriter(path, Film(name, FPS, quality)) as writer:
            for chunk in clip.split(CHUNK):
                writer.write(chunk)
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        return 8 * sum(file.stat().st_size for file in files) / clip[..., 0].numel()


def measure(frames: int, side: int) -> dict[str, dict[str, dict[str, float]]]:
    """Mean bits per pixel and frame: by format, quality and content.

    Formats without a quality are written once.
    """
    clips = contents(frames, side)
    found = {}
    for name, format in FORMATS.items():
        qualities = QUALITIES if format.bits(0) != format.bits(100) else (80,)
        found[name] = {
            str(quality): {
                kind: float(np.mean([bits(clip, name, quality) for clip in some]))
                for kind, some in clips.items()
            }
            for quality in qualities
        }
        print(name, found[name], flush=True)
    return found


def table(found: dict[str, Any]) -> str:
    """The numbers as Markdown."""
    rows = [
        [
            name,
            quality,
            *(f"{value:.3g}" for value in kinds.values()),
            f"{FORMATS[name].bits(int(quality)):.3g}",
        ]
        for name, qualities in found.items()
        for quality, kinds in qualities.items()
    ]
    return common.markdown(["format", "quality", "drawn", "grain", "noise", "announced"], rows)


def main() -> None:
    """Measure, print, write."""
    parser = common.options(__doc__, "films.json")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--side", type=int, default=384, help="pixels of a frame's side")
    args, began = parser.parse_args(), time.monotonic()
    found = measure(args.frames, args.side)
    print(table(found))
    common.write(vars(args), {"bits_per_pixel": found}, began)


if __name__ == "__main__":
    main()
