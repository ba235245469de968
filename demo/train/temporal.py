"""Train the bundled toy temporal layers with the pack's own command line, and see early whether they learn.

    python -m video_ldm.demo.train.temporal train --clips clips --checkpoint toy_sd.safetensors
        --out toy_temporal.safetensors
    python -m video_ldm.demo.train.temporal look --checkpoint toy_sd.safetensors
        --layers toy_temporal.safetensors

Options after `--` go to `python -m video_ldm.training` as they are. Frames `(f h w 3)`, latents `((b f) 4 16
16)`.
"""

from __future__ import annotations

import argparse
import json
import re
import runpy
import sys
import zlib
from pathlib import Path

import numpy as np
import torch

from ...temporal.training.data.preparing import write_index
from .. import world
from ..world import tracker
from ..world.scene import DIRECTIONS
from .common import ROOT, fast_in_half, half_precision, start_log

HOST_PACK = ROOT / "demo" / "host_pack"
RECIPE = (
    "--frames 8 --strides 1,1,1,2 --batch 4 --lr 1e-3 --final-lr 5e-5 --warmup 100 --ema 0.995 "
    "--weight-limit 20 --known-noise 50 --seed 1 --high-noise 2 --signal-dropout 0.5 --text-first 0.4 "
    "--check-clips 64 --patterns none=0.6,first=0.15,first_two=0.1,ends=0.05,every_fourth=0.05,random=0.05"
)
# cars are not among them: one that drives backwards is another car
REVERSED = (
    "moving left=moving right, moving up=moving down, circling clockwise=circling counterclockwise, "
    "panning left=panning right, panning up=panning down, zooming in=zooming out"
)
FRAMES, FPS = 8, 8.0


def index_clips(folder: Path) -> None:
    """Describe the clips of demo.train.clips in the words of the training's clip cache."""
    captions = json.loads((folder / "captions.json").read_text("utf-8"))
    made = json.loads((folder / "ready.json").read_text("utf-8"))
    length = np.load(folder / "latents.npy", mmap_mode="r").shape[1]
    count = made["clips"]
    with_motion = [pair[0] for pair in captions[:count]]
    write_index(
        folder, with_motion, [length * i for i in range(count + 1)], [made["fps"]] * count, "toy world"
    )


def selected(folder: Path, pattern: str) -> Path:
    """A folder beside `folder` with copies of those clips whose caption the regular expression finds."""
    captions = json.loads((folder / "captions.json").read_text("utf-8"))
    made = json.loads((folder / "ready.json").read_text("utf-8"))
    chosen = [index for index in range(made["clips"]) if re.search(pattern, captions[index][0])]
    copy = folder.with_name(f"{folder.name}-{zlib.crc32(pattern.encode()):08x}")
    copy.mkdir(exist_ok=True)
    np.save(copy / "latents.npy", np.load(folder / "latents.npy", mmap_mode="r")[chosen])
    (copy / "captions.json").write_text(json.dumps([captions[index] for index in chosen]))
    (copy / "ready.json").write_text(json.dumps({**made, "clips": len(chosen), "of": len(chosen)}))
    return copy


def train(args: argparse.Namespace, more: list[str]) -> None:
    """Run `python -m video_ldm.training` in this process with the toy recipe; later options win."""
    clips = selected(args.clips, args.only) if args.only else args.clips
    index_clips(clips)
    files = [
        "--checkpoint",
        args.checkpoint,
        "--clips",
        clips,
        "--out",
        args.out,
        "--custom-node",
        HOST_PACK,
    ]
    place = [] if args.gpu else ["--cpu"]
    fast = args.gpu or fast_in_half(torch.device("cpu"))
    sys.argv = [
        "video_ldm.training",
        *map(str, files),
        *place,
        *RECIPE.split(),
        "--precision",
        "bf16" if fast else "fp32",
        "--reversed",
        REVERSED,
        *more,
    ]
    runpy.run_module("video_ldm.training", run_name="__main__", alter_sys=True)


@torch.no_grad()
def look(args: argparse.Namespace) -> None:
    """Sample held-out prompts with DDIM, and read the clips back with the tracker."""
    from ...nodes.host_boot import start_host

    log = start_log()
    start_host(None, [str(HOST_PACK)], cpu=not args.gpu)
    from ...nodes.host.training import models as host
    from ...temporal.formats import load_stack
    from ...temporal.sampling.clip import Clip
    from ...temporal.training.report import contact_sheet
    from ...temporal.training.sampling import SampledModel, ddim

    rng, ways = np.random.default_rng(args.seed), tuple(DIRECTIONS)
    scenes = [world.sample(rng, "test", ways[index % len(ways)]) for index in range(args.prompts)]
    models = host.load_checkpoint(str(args.checkpoint))
    device = host.training_device()
    precision = torch.bfloat16 if fast_in_half(device) else torch.float32
    noise_levels, unet = models.noise_levels(), models.frozen_unet(precision)
    stack = load_stack(args.layers, dtype=torch.float32).to(device)
    text = models.embed(["", *map(world.caption, scenes)])[0].to(device)
    clip = Clip(num_frames=FRAMES, fps=FPS, strength=args.strength)
    made = []
    for number, prompt in enumerate(text[1:]):
        noise = torch.randn(FRAMES, 4, 16, 16, generator=torch.Generator().manual_seed(args.seed + number))
        noise = noise.to(device)
        with half_precision(device):
            latents = ddim(
                SampledModel(models.denoiser(unet), stack, noise_levels),
                noise,
                prompt[None],
                text[:1],
                clip,
                args.steps,
                args.guidance,
            )
        made.append(models.decode(latents))
    frames = torch.stack(made)
    pictures = (frames.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    paths = [tracker.track(shown, scene.color) for shown, scene in zip(pictures, scenes, strict=True)]
    pairs = list(zip(pictures, paths, scenes, strict=True))
    ways_gone = [tracker.along(tracker.velocity(path), scene.motion) for _, path, scene in pairs]
    on_axis = [(gone, scene) for gone, (_, _, scene) in zip(ways_gone, pairs, strict=True) if gone[0]]
    log.info(
        "prompts %d, colour %.2f, direction %.2f, axis %.2f, sense where the axis is right %.2f, speed %.2f, "
        "seen %.2f, jitter %.2f px",
        len(scenes),
        np.mean([tracker.main_colour(shown) == scene.color for shown, _, scene in pairs]),
        np.mean([tracker.direction(path) == scene.motion for _, path, scene in pairs]),
        len(on_axis) / len(scenes),
        np.mean([sense for (_, sense, _), _ in on_axis]),
        np.median([abs(forward) * FPS / scene.speed for (_, _, forward), scene in on_axis]),
        np.mean([~np.isnan(path[:, 0]) for path in paths]),
        np.nanmedian([tracker.jitter(path) for path in paths]),
    )
    if args.sheet:
        contact_sheet(args.sheet, list(frames[:16]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("--clips", type=Path, required=True, help="folder that demo.train.clips wrote")
    command.add_argument("--checkpoint", type=Path, required=True)
    command.add_argument("--out", type=Path, required=True)
    command.add_argument("--only", help="regular expression: train on clips whose caption it finds")
    command.add_argument("--gpu", action="store_true", help="train on the device that the host takes")
    command.set_defaults(run=lambda args: train(args, more))
    command = commands.add_parser("look")
    command.add_argument("--checkpoint", type=Path, required=True)
    command.add_argument("--layers", type=Path, required=True)
    command.add_argument("--prompts", type=int, default=24)
    command.add_argument("--steps", type=int, default=12)
    command.add_argument("--guidance", type=float, default=4.0)
    command.add_argument("--strength", type=float, default=1.0)
    command.add_argument("--gpu", action="store_true", help="sample on the device that the host takes")
    command.add_argument("--seed", type=int, default=2027)
    command.add_argument("--sheet", type=Path, help="also write a contact sheet of the first clips")
    command.set_defaults(run=look)
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    more = sys.argv[split + 1 :]
    args = parser.parse_args(sys.argv[1:split])
    args.run(args)


if __name__ == "__main__":
    main()
