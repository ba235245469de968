"""Temporal convolutions, and an image model before the clips: what each of them is worth.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.toy_world.ablation --clips FOLDERS --held-out FOLDER
        --folder FOLDER

Two rows of "Align your Latents", table 4, on the toy world: layers of attention only instead of convolutions
and attention (704 instead of 534), and training end to end instead of on an image model (1155 instead of
534). Folders of clips are those of demo.train.clips, held-out ones of its --split test; what is learned are
4 frames at 8 a second in windows of 64 x 64 pixels. All arms of a seed see the same clips, noise and steps.
The frozen image model is the toy checkpoint's, the temporal layers are the pack's own, from nothing. Asked
for are the captions of held-out clips, with the same noise for all arms; other held-out clips are what
they are compared with, through the autoencoder as well (ablation_judge.py). A run that was stopped goes on
with the same command.

Latents `(b f 4 8 8)`, text `(b 77 48)`, pictures `(f h w 3)` uint8.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from einops import rearrange, reduce, repeat
from safetensors.torch import load_file
from torch import Tensor, nn

from ...demo.train.common import Average, cosine, set_rate
from ...nodes.host_boot import keep_freed_memory, start_host
from ...temporal.sampling.clip import Clip
from ...temporal.stack.stack import TemporalStack
from ...temporal.training.loop import Denoise
from ...temporal.training.noise_levels import NoiseLevels
from ...temporal.training.report import contact_sheet
from ...temporal.training.sampling import SampledModel, ddim
from .ablation_judge import measured, report
from .ablation_world import ARMS, FPS, FRAMES, SIDE, Arm, Clips, image_model, new_layers
from .common import MODELS, RESULTS, ROOT
from .sense_world import descend

CHECKPOINT = MODELS / "toy_sd.safetensors"
TOGETHER = 20  # clips that are sampled at a time


@dataclass(frozen=True, eq=False)
class World:
    """All that arms share: clips to learn from, held-out ones, and the checkpoint with its texts."""

    checkpoint: Any
    noise: NoiseLevels
    clips: Clips
    held_out: Clips
    text: dict[str, Tensor]

    def say(self, captions: list[str]) -> Tensor:
        """Text of captions."""
        return torch.stack([self.text[caption] for caption in captions])

    def show(self, latents: Tensor) -> np.ndarray:
        """Pictures of the frames of one clip."""
        return (self.checkpoint.decode(latents).clamp(0, 1) * 255).round().byte().numpy()


@dataclass
class Learner:
    """An arm on its way; `learns` holds the layers, and the image model where it is trained along."""

    image: nn.Module
    learns: nn.ModuleDict
    optimizer: torch.optim.Optimizer
    average: Average
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)

    @classmethod
    def new(cls, arm: Arm, seed: int) -> Learner:
        """An arm before its first step."""
        image = image_model(arm, seed, load_file(CHECKPOINT))
        learns = nn.ModuleDict({"layers": new_layers(arm, seed)})
        if arm.image != "frozen":
            learns["image"] = image
        optimizer = torch.optim.AdamW(learns.parameters(), betas=(0.9, 0.99), weight_decay=0.01, fused=True)
        return cls(image, learns, optimizer, Average(learns, 0.99))

    def model(self, learned: nn.ModuleDict, noise: NoiseLevels) -> SampledModel:
        """The model with weights as they are in training, or with their average."""
        from ...nodes.host.training.unet import denoiser

        image = learned["image"] if "image" in self.learns else self.image
        return SampledModel(denoiser(image), cast(TemporalStack, learned["layers"]), noise)

    def save(self, file: Path) -> None:
        """Keep the state, whole or not at all."""
        parts = [part.state_dict() for part in (self.learns, self.optimizer, self.average.module)]
        kept = {"parts": parts, "step": self.step, "seconds": self.seconds, "losses": self.losses}
        torch.save(kept, file.with_suffix(".partial"))
        file.with_suffix(".partial").replace(file)

    def load(self, file: Path) -> None:
        """Go on from a state."""
        kept = torch.load(file, weights_only=True)
        for part, state in zip(
            (self.learns, self.optimizer, self.average.module), kept["parts"], strict=True
        ):
            part.load_state_dict(state)
        self.step, self.seconds, self.losses = kept["step"], kept["seconds"], kept["losses"]
        self.average.updates = self.step


def loss_of(denoise: Denoise, layers: Any, world: World, seed: int, step: int, batch: int) -> Tensor:
    """Error on the clips of a step, which are the same for all arms of a seed."""
    dice, other = np.random.default_rng((seed, step)), torch.Generator().manual_seed(seed * 1000003 + step)
    clips, captions = world.clips.draw(batch, dice)
    said = world.say([caption if dice.random() > 0.1 else "" for caption in captions])
    even = (torch.rand(batch, generator=other) + torch.arange(batch)) / batch
    t = (even.sqrt() * world.noise.num_steps).long().clamp(max=world.noise.num_steps - 1)
    x, t = rearrange(clips, "b f c h w -> (b f) c h w"), repeat(t, "b -> (b f)", f=FRAMES)
    noise = torch.randn(x.shape, generator=other)
    made = denoise(
        world.noise.add_noise(x, noise, t), t, said, layers, layers.prepare(Clip(FRAMES, text=said))
    )
    return (world.noise.weight(t, 20.0) * reduce((made - noise).square(), "n c h w -> n", "mean")).mean()


def train(learner: Learner, world: World, seed: int, file: Path, args: argparse.Namespace) -> None:
    """All steps that are missing."""
    model, began = learner.model(learner.learns, world.noise), time.process_time() - learner.seconds
    for step in range(learner.step, args.steps):
        set_rate(learner.optimizer, cosine(step, args.steps, args.rate, warmup=40, floor=0.05))
        loss = loss_of(model.denoise, model.stack, world, seed, step, args.batch)
        descend(loss, learner.optimizer, learner.learns)
        learner.average.update(learner.learns)
        learner.losses.append(loss.item())
        learner.step, learner.seconds = step + 1, time.process_time() - began
        if learner.step % args.every == 0 or learner.step == args.steps:
            learner.save(file)
            recent = np.mean(learner.losses[-args.every :])
            print(
                f"{file.stem} step {learner.step} loss {recent:.4f} {learner.seconds:.0f} CPU s", flush=True
            )


def sampled(learner: Learner, world: World, args: argparse.Namespace) -> np.ndarray:
    """Pictures of the first held-out captions `(n f h w 3)`, from noise that is the same for all arms."""
    model, made = learner.model(cast(nn.ModuleDict, learner.average.module), world.noise), []
    asked = world.held_out.captions[: args.asked]
    for first in range(0, len(asked), TOGETHER):
        said = world.say(asked[first : first + TOGETHER])
        dice = torch.Generator().manual_seed(7000 + first)
        noise = torch.randn(len(said) * FRAMES, 4, SIDE, SIDE, generator=dice)
        nothing = world.say([""] * len(said))
        clip = Clip(FRAMES, fps=FPS)
        latents = ddim(model, noise, said, nothing, clip, args.sampling_steps, args.guidance)
        made += [world.show(frames) for frames in latents.split(FRAMES)]
    return np.stack(made)


def drawn_windows(world: World) -> np.ndarray:
    """A window of every held-out clip, through the autoencoder."""
    dice = np.random.default_rng(2029)
    windows = [world.held_out.window(number, dice) for number in range(len(world.held_out.captions))]
    return np.stack([world.show(torch.from_numpy(window)) for window in windows])


def run_arm(name: str, seed: int, world: World, args: argparse.Namespace) -> dict[str, Any]:
    """Train an arm and make its clips, unless both are done."""
    state, made = (args.folder / f"{seed}-{list(ARMS).index(name)}{end}" for end in (".pt", ".npy"))
    learner = Learner.new(ARMS[name], seed)
    if state.exists():
        learner.load(state)
    train(learner, world, seed, state, args)
    if not made.exists():
        began = time.process_time()
        np.save(made, sampled(learner, world, args))
        print(f"{made.stem} made {args.asked} clips, {time.process_time() - began:.0f} CPU s", flush=True)
        frames = torch.from_numpy(np.load(made)[:16]).float() / 255
        contact_sheet(made.with_suffix(".png"), list(frames))
    return {
        "weights": sum(weight.numel() for weight in learner.learns.parameters()),
        "loss": float(np.mean(learner.losses[-100:])),
        "seconds": round(learner.seconds),
        "made": np.load(made),
    }


def opened(args: argparse.Namespace) -> World:
    """Everything that arms share; call after the host has started."""
    from ...nodes.host.training import models

    checkpoint = models.load_checkpoint(str(CHECKPOINT))
    clips, held_out = Clips(args.clips), Clips([args.held_out])
    captions = sorted({"", *clips.captions, *held_out.captions})
    text = dict(zip(captions, checkpoint.embed(captions)[0], strict=True))
    return World(checkpoint, checkpoint.noise_levels(), clips, held_out, text)


def same_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Settings of the run, which those of the folder must be where it holds arms already."""
    asked = ("steps", "batch", "rate", "asked", "sampling_steps", "guidance")
    settings, kept = {key: getattr(args, key) for key in asked}, args.folder / "settings.json"
    if kept.exists() and json.loads(kept.read_text("utf-8")) != settings:
        raise SystemExit(f"{args.folder} holds arms of other settings; give another --folder.")
    args.folder.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps(settings), "utf-8")
    return settings


def main() -> None:
    """Train and ask the arms of all seeds, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, nargs="+", required=True, help="folders of demo.train.clips")
    parser.add_argument("--held-out", type=Path, required=True, help="one of its --split test")
    parser.add_argument("--folder", type=Path, required=True, help="for the states and what was made")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--steps", type=int, default=700)
    parser.add_argument("--batch", type=int, default=6, help="clips a step")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--every", type=int, default=100, help="steps between states")
    parser.add_argument(
        "--asked", type=int, default=200, help="held-out captions; the other clips are compared"
    )
    parser.add_argument("--sampling-steps", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--out", type=Path, default=RESULTS / "ablation.json")
    args = parser.parse_args()
    start_host(None, [str(ROOT / "demo" / "host_pack")], cpu=True)
    keep_freed_memory()
    torch.set_num_threads(1)
    settings = same_settings(args)
    world, found = opened(args), {name: {} for name in args.arms}
    for seed in args.seeds:
        for name in args.arms:
            found[name][seed] = run_arm(name, seed, world, args)
    made = {name: {seed: row.pop("made") for seed, row in seeds.items()} for name, seeds in found.items()}
    numbers = measured(drawn_windows(world), made, args.asked)
    whole = {
        "settings": settings,
        "arms": {name: asdict(ARMS[name]) for name in args.arms},
        "training": found,
    }
    args.out.write_text(json.dumps({**whole, "found": numbers}, indent=1) + "\n")
    print(report(numbers["all"]))


if __name__ == "__main__":
    main()
