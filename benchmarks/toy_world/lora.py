"""Measure what a motion LoRA and a camera LoRA teach the toy layers, against rank, steps and number of clips.

    python -m video_ldm.benchmarks.toy_world.lora --folder FOLDER --personal FOLDER/personal.safetensors

A motion LoRA learns from drawn clips in which everything goes left, captioned without a word of motion; a
camera LoRA from drawn stills, over which the camera pans to the right, so that everything in the picture goes
left. Held-out prompts with the word that calls the LoRA are sampled with the same seeds, without and with it:
by the image model it was trained on, and by one that was trained on to another look
(`demo.train.personal` makes it).

Frames `(f h w 3)`.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ...demo import world
from ...demo.clips import write_film
from ...demo.world import classifier, tracker
from ...demo.world.classifier import Classifier
from ...demo.world.scene import Scene
from ...nodes import host_boot as boot
from ...temporal.formats import load_stack
from ...temporal.metrics.flow import flow_between
from ...temporal.sampling.clip import Clip
from ...temporal.stack.stack import TemporalStack
from ...temporal.training.checkpoint import load_state
from ...temporal.training.lora.files import new_lora
from ...temporal.training.sampling import SampledModel, ddim
from ...training.layers import options as layers
from ...training.lora import options as lora
from .common import MODELS, RESULTS, ROOT, held_out, median_interval, write

FRAMES, FPS, SIDE = 5, 8.0, 128
LAYERS, CHECKPOINT = MODELS / "toy_temporal.safetensors", MODELS / "toy_sd.safetensors"
TRIGGER, TAUGHT = "drift", "left"
log = logging.getLogger("benchmarks.lora")


@dataclass(frozen=True)
class Arm:
    """One training. `camera`: a move over stills in the place of clips that go left."""

    name: str
    clips: int = 20
    rank: int = 8
    steps: int = 200
    seed: int = 0
    camera: str = ""


ARMS = (
    Arm("motion"),
    Arm("camera", camera="pan_right"),
    Arm("motion, 5 clips", clips=5),
    Arm("motion, 100 clips", clips=100),
    Arm("motion, rank 2", rank=2),
    Arm("motion, rank 32", rank=32),
    Arm("motion, 25 steps", steps=25),
    Arm("motion, 50 steps", steps=50),
    Arm("motion, 100 steps", steps=100),
    Arm("motion, seed 1", seed=1),
    Arm("camera, 5 stills", camera="pan_right", clips=5),
    Arm("camera, 100 stills", camera="pan_right", clips=100),
    Arm("camera, rank 2", camera="pan_right", rank=2),
    Arm("camera, rank 32", camera="pan_right", rank=32),
    Arm("camera, 50 steps", camera="pan_right", steps=50),
    Arm("camera, seed 1", camera="pan_right", seed=1),
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
        write_film(path.with_suffix(".mp4"), frames)


def train(folder: Path, arm: Arm) -> tuple[argparse.Namespace, float]:
    """Run the command as its user does; its settings, and seconds."""
    from ...training.lora import running as run_lora

    clips = folder / "clips"
    write_clips(clips, arm)
    words = [
        *("--checkpoint", str(CHECKPOINT), "--layers", str(LAYERS), "--clips", str(clips), "--cpu"),
        *("--out", str(folder / "lora.safetensors"), "--size", f"{SIDE}x{SIDE}", "--frames", str(FRAMES)),
        *("--fps", f"{FPS:g}", "--batch", "1", "--lr", "0.003", "--warmup", "4", "--patterns", "none"),
        *("--high-noise", "2", "--weight-limit", "20", "--signal-dropout", "0.5"),
        *("--looks-steps", "0", "--validate-every", "0", "--kept-out", "0", "--memory", "fast"),
        *("--rank", str(arm.rank), "--steps", str(arm.steps), "--seed", str(arm.seed), "--threads", "1"),
        *(("--camera", arm.camera) if arm.camera else ("--trigger", TRIGGER)),
    ]
    args, began = lora.parser().parse_args(words), time.monotonic()
    run_lora.run(args, layers.config_from(args), lora.lora_from(args))
    return args, time.monotonic() - began


def stack_with(folder: Path | None, args: Any, beside: ExitStack) -> TemporalStack:
    """The toy layers, with the averaged LoRA of a folder until `beside` is closed."""
    stack = load_stack(LAYERS, dtype=torch.float32)
    if folder is not None:
        factors = new_lora(stack, lora.lora_from(args))
        factors.load_state_dict(load_state(folder / "lora.state.pt")["average"]["average"])
        beside.enter_context(factors.beside(stack))
    return stack


def sampled(
    models: Any, stack: TemporalStack, prompts: list[str], steps: int, frames: int = FRAMES
) -> list[np.ndarray]:
    """A clip for each prompt, whose place is the seed."""
    text, _ = models.embed(["", *prompts])
    denoise, clips = models.denoiser(models.frozen_unet(torch.float32)), []
    for number in range(len(prompts)):
        noise = torch.randn(frames, 4, 16, 16, generator=torch.Generator().manual_seed(number))
        model = SampledModel(denoise, stack, models.noise_levels())
        words = (text[number + 1 : number + 2], text[:1])
        latents = ddim(model, noise, *words, Clip(num_frames=frames, fps=FPS), steps=steps)
        clips.append((255 * models.decode(latents).clamp(0, 1)).round().to(torch.uint8).numpy())
    return clips


def measured(scene: Scene, frames: np.ndarray, judge: Classifier) -> dict[str, Any]:
    """Pixels a frame of the object and of the picture (median flow) to the left; what is in the clip."""
    path = tracker.velocity(tracker.track(frames, scene.color))
    steps = [np.median(flow_between(one, two)[..., 0]) for one, two in pairwise(frames)]
    return {
        "object": -float(path[0]),
        "picture": -float(np.mean(steps)),
        "colour": tracker.main_colour(frames) == scene.color,
        "shape": classifier.name(judge, frames)["shape"] == scene.shape,
    }


@dataclass(frozen=True)
class Exam:
    """Held-out prompts, sampled and judged the one way; `steps` of DDIM."""

    scenes: list[Scene]
    steps: int
    judge: Classifier

    def captions(self, trigger: str = "") -> list[str]:
        """The prompts, with the word that calls the motion in front."""
        start = f"{trigger}, " if trigger else ""
        return [start + world.caption(scene, with_motion=False) for scene in self.scenes]

    def sit(self, models: Any, args: Any, folder: Path | None, sheet: Path) -> list[Any]:
        """Numbers of the clips that a model makes, with the LoRA of a folder or without one."""
        with ExitStack() as beside:
            stack, prompts = stack_with(folder, args, beside), self.captions(lora.lora_from(args).trigger)
            clips = sampled(models, stack, prompts, self.steps)
        Image.fromarray(np.concatenate([np.concatenate([*clip], 1) for clip in clips])).save(sheet)
        return [measured(scene, clip, self.judge) for scene, clip in zip(self.scenes, clips, strict=True)]


def pictures(models: Any, exam: Exam) -> np.ndarray:
    """Single pictures of the image model: new layers change nothing."""
    stack = TemporalStack(load_stack(LAYERS).config)
    return np.stack(sampled(models, stack, exam.captions(), exam.steps, frames=1))


class Plain:
    """Clips of an image model without a LoRA, once for each word that calls one; sheets go to `folder`."""

    def __init__(self, exam: Exam, models: Any, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.exam, self.models, self.folder = exam, models, folder
        self.made: dict[str, list[Any]] = {}

    def compared(self, arm: Arm, args: Any, folder: Path) -> dict[str, Any]:
        """Turn of the clips towards the taught move, and how many still show the right colour and shape.

        A clip counts in `n` where the object is seen without and with the LoRA.
        """
        key, word = ("picture", "camera") if arm.camera else ("object", "motion")
        if word not in self.made:
            self.made[word] = self.exam.sit(self.models, args, None, self.folder / f"{word}.png")
        sheet = self.folder / f"{folder.name}.png"
        before, after = self.made[word], self.exam.sit(self.models, args, folder, sheet)
        turned = [one[key] - other[key] for one, other in zip(after, before, strict=True)]
        found = median_interval(turned)
        log.info("%s: %s turned by %.2f (%.2f to %.2f) px a frame", arm.name, key, *found)
        right = {f"{what}_right": sum(clip[what] for clip in after) for what in ("colour", "shape")}
        return {
            "measure": key,
            "turned": found,
            "n": sum(value == value for value in turned),
            "clips_made": len(after),
            **right,
            "before": before,
            "after": after,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="for clips and trainings")
    parser.add_argument("--personal", type=Path, help="the image model, trained on to another look")
    parser.add_argument("--arms", nargs="+", choices=[arm.name for arm in ARMS], help="only these")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--sampling-steps", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=600.0, help="begin no other training after so long")
    parser.add_argument("--out", type=Path, default=RESULTS / "lora.json")
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    boot.start_host(None, [str(ROOT / "demo" / "host_pack")], cpu=True)
    torch.set_num_threads(1)
    from ...nodes.host.training.models import load_checkpoint

    began, settings = time.monotonic(), vars(asked)
    judge = classifier.load_classifier(MODELS / "toy_classifier.safetensors")
    exam = Exam(held_out(asked.prompts, ["still"]), asked.sampling_steps, judge)
    found: dict[str, Any] = {"prompts": exam.captions(), "arms": [], "moved": []}
    base, trained = load_checkpoint(str(CHECKPOINT)), []
    shown, plain = pictures(base, exam), Plain(exam, base, asked.folder / "base")
    for arm in [arm for arm in ARMS if not asked.arms or arm.name in asked.arms]:
        if time.monotonic() - began > 60 * asked.minutes:
            break
        folder = asked.folder / arm.name.replace(", ", "-").replace(" ", "-")
        args, seconds = train(folder, arm)
        trained.append((arm, args, folder))
        row = {**vars(arm), "seconds": round(seconds), **plain.compared(arm, args, folder)}
        row["picture_values_changed"] = int((pictures(load_checkpoint(str(CHECKPOINT)), exam) != shown).sum())
        found["arms"].append(row)
        write(settings, found, began)
    if asked.personal:  # moved are the two that the others vary
        plain = Plain(exam, load_checkpoint(str(asked.personal)), asked.folder / "personal")
        found["moved"] = [{"name": of[0].name, **plain.compared(*of)} for of in trained[:2]]
        write(settings, found, began)
    sys.stdout.write(f"{len(found['arms'])} trainings in {time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
