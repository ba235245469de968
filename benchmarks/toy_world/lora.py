"""Measure what a motion LoRA and a camera LoRA teach the toy layers, against rank, steps and number of clips.

    python -m video_ldm.benchmarks.toy_world.lora --folder FOLDER

A motion LoRA learns from drawn clips in which everything goes left, captioned without a word of motion; a
camera LoRA from drawn stills, over which the camera pans. Held-out prompts without motion are sampled with
the same seeds, without and with the LoRA. Frames `(f h w 3)`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import torch
from PIL import Image

from ...demo import world
from ...demo.world import tracker
from ...nodes import host_boot as boot
from ...temporal.formats import load_stack
from ...temporal.metrics.flow import flow_between
from ...temporal.sampling.clip import Clip
from ...temporal.training.checkpoint import load_state
from ...temporal.training.lora.files import new_lora
from ...temporal.training.sampling import SampledModel, ddim
from ...training import layers, lora
from .common import MODELS, RESULTS, ROOT, held_out, median_interval

FRAMES, FPS, SIDE = 8, 8.0, 128
LAYERS, CHECKPOINT = MODELS / "toy_temporal.safetensors", MODELS / "toy_sd.safetensors"
TRIGGER, TAUGHT = "drift", "left"
log = logging.getLogger("benchmarks.lora")


@dataclass(frozen=True)
class Arm:
    """One training. `camera`: a move over stills in the place of clips that go left."""

    name: str
    clips: int = 20
    rank: int = 8
    steps: int = 40
    seed: int = 0
    camera: str = ""


BASE = Arm("motion")
ARMS = (
    BASE,
    Arm("camera", camera="pan_right"),
    Arm("motion, 5 clips", clips=5),
    Arm("motion, rank 2", rank=2),
    Arm("motion, 10 steps", steps=10),
    Arm("motion, rank 32", rank=32),
    Arm("motion, 100 clips", clips=100),
    Arm("camera, 10 steps", camera="pan_right", steps=10),
    Arm("camera, 5 stills", camera="pan_right", clips=5),
    Arm("motion, seed 1", seed=1),
)


def write_clips(folder: Path, arm: Arm) -> None:
    """Clips of things that go left, or stills, with captions that name no motion."""
    rng = np.random.default_rng(77)
    folder.mkdir(parents=True)
    for number in range(arm.clips):
        scene = world.sample(rng, "train", "still" if arm.camera else TAUGHT)
        frames = world.render(scene, 1 if arm.camera else FRAMES, FPS)
        path = folder / f"{number:03}"
        path.with_suffix(".txt").write_text(world.caption(scene, with_motion=False))
        if arm.camera:  # large enough for the camera to move over it
            Image.fromarray(frames[0]).resize((2 * SIDE, 2 * SIDE), Image.Resampling.LANCZOS).save(
                f"{path}.png"
            )
            continue
        film = imageio_ffmpeg.write_frames(
            f"{path}.mp4", (SIDE, SIDE), fps=FPS, quality=9, macro_block_size=1
        )
        film.send(None)
        for frame in frames:
            film.send(np.ascontiguousarray(frame).tobytes())
        film.close()


def train(folder: Path, arm: Arm) -> tuple[argparse.Namespace, float]:
    """Run the command as its user does; its settings, and seconds."""
    from ...training import run_lora

    clips = folder / "clips"
    write_clips(clips, arm)
    words = [
        *("--checkpoint", str(CHECKPOINT), "--layers", str(LAYERS), "--clips", str(clips), "--cpu"),
        *("--out", str(folder / "lora.safetensors"), "--size", f"{SIDE}x{SIDE}", "--frames", str(FRAMES)),
        *("--fps", f"{FPS:g}", "--batch", "2", "--lr", "0.001", "--warmup", "10", "--patterns", "none"),
        *("--looks-steps", "0", "--validate-every", "0", "--kept-out", "0", "--memory", "fast"),
        *("--rank", str(arm.rank), "--steps", str(arm.steps), "--seed", str(arm.seed), "--threads", "1"),
        *(("--camera", arm.camera) if arm.camera else ("--trigger", TRIGGER)),
    ]
    args, began = lora.parser().parse_args(words), time.monotonic()
    run_lora.run(args, layers.config_from(args), lora.lora_from(args))
    return args, time.monotonic() - began


def sampled(models: Any, prompts: list[str], folder: Path | None, args: Any, steps: int) -> list[np.ndarray]:
    """A clip for each prompt, with the averaged LoRA of a folder or without one.

    The prompt's place is the seed.
    """
    stack, clips = load_stack(LAYERS, dtype=torch.float32), []
    text, _ = models.embed(["", *prompts])
    with ExitStack() as beside:
        if folder is not None:
            factors = new_lora(stack, lora.lora_from(args))
            average = load_state(folder / "lora.state.pt")["average"]["average"]
            factors.load_state_dict(average)
            beside.enter_context(factors.beside(stack))
        denoise = models.denoiser(models.frozen_unet(torch.float32))
        for number in range(len(prompts)):
            noise = torch.randn(FRAMES, 4, 16, 16, generator=torch.Generator().manual_seed(number))
            model = SampledModel(denoise, stack, models.noise_levels())
            words = (text[number + 1 : number + 2], text[:1])
            latents = ddim(model, noise, *words, Clip(num_frames=FRAMES, fps=FPS), steps=steps)
            clips.append((255 * models.decode(latents).clamp(0, 1)).round().to(torch.uint8).numpy())
    return clips


def moved(frames: np.ndarray, colour: str) -> Mapping[str, float]:
    """Pixels a frame: of the object to the left, and of the whole picture to the left (median flow)."""
    path = tracker.velocity(tracker.track(frames, colour))
    steps = [np.median(flow_between(one, two)[..., 0]) for one, two in pairwise(frames)]
    return {"object": -float(path[0]), "picture": -float(np.mean(steps))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="for clips and trainings")
    parser.add_argument("--prompts", type=int, default=12)
    parser.add_argument("--sampling-steps", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=600.0, help="begin no other training after so long")
    parser.add_argument("--out", type=Path, default=RESULTS / "lora.json")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    boot.start_host(None, [str(ROOT / "demo" / "host_pack")], cpu=True)
    torch.set_num_threads(1)
    from ...nodes.host.training.models import load_checkpoint

    models, began = load_checkpoint(str(CHECKPOINT)), time.monotonic()
    scenes = held_out(asked.prompts, ["still"])
    prompts = [world.caption(scene, with_motion=False) for scene in scenes]
    found: dict[str, Any] = {"prompts": prompts, "sampling_steps": asked.sampling_steps, "arms": []}

    def measured(words: str, folder: Path | None = None, args: Any = None) -> list[Mapping[str, float]]:
        called = [f"{words}, {prompt}" if words else prompt for prompt in prompts]
        clips = sampled(models, called, folder, args, asked.sampling_steps)
        if folder is not None:
            Image.fromarray(np.concatenate([np.concatenate([*clip], 1) for clip in clips])).save(
                folder / "sheet.png"
            )
        return [moved(clip, scene.color) for clip, scene in zip(clips, scenes, strict=True)]

    found["without"] = measured("")
    for arm in ARMS:
        if time.monotonic() - began > 60 * asked.minutes:
            break
        folder = asked.folder / arm.name.replace(", ", "-").replace(" ", "-")
        args, seconds = train(folder, arm)
        with_lora = measured(lora.lora_from(args).trigger, folder, args)
        key = "picture" if arm.camera else "object"
        turned = [after[key] - before[key] for after, before in zip(with_lora, found["without"], strict=True)]
        interval = median_interval([value for value in turned if not np.isnan(value)])
        row = {
            **vars(arm),
            "seconds": round(seconds),
            "measure": key,
            "turned": interval,
            "clips_made": with_lora,
        }
        found["arms"].append(row)
        log.info("%s: %s turned by %.2f (%.2f to %.2f) px a frame, %d s", arm.name, key, *interval, seconds)
        asked.out.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(f"{len(found['arms'])} trainings in {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
