"""Find which temporal layers learn the sense of a motion, left or right.

On the smallest world in which it can be asked.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.toy_world.sense --folder FOLDER --arms attention tokens

A soft disc of one of three colours goes left or right over 2 x 8 places for 4 frames; these are the latents.
The text is three tokens of a fixed table: nothing, the colour, the way. The image model is a UNet of the host
with 32 and 64 channels and norms of 8 groups (1.07 M weights), trained on single frames and frozen; the
temporal layers are the pack's own, 0.98 M weights, from nothing. All arms of a run see the same clips, noise
and steps in turn, so that they differ in one thing. What is asked, at fixed noise, of clips drawn anew: is
the error smaller with the right word than with the opposite one? A run that was stopped goes on with the same
command.

Latents `(b f 4 2 8)`, text `(b m 48)`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from einops import rearrange, reduce, repeat
from torch import Tensor

from ...demo.train.common import Average, set_rate, use_host
from ...nodes.host_boot import keep_freed_memory
from ...temporal.sampling.clip import Clip
from ...temporal.stack.plan import UNetShape
from ...temporal.stack.stack import StackConfig, TemporalStack
from ...temporal.training.loop import Denoise
from .common import share_interval
from .sense_world import FRAMES, GROUPS, NOISE, UNET, World, descend, draw, faint, image_model, norms_of, text

# steps, signal left of them
LEVELS = ((999, 0.0), (999, 1.0), (950, 1.0), (900, 1.0), (850, 1.0), (750, 1.0))


@dataclass(frozen=True)
class Arm:
    """One way to build or to train the layers."""

    positions: str | None = None  # "tokens", or in the attention alone
    # more high noise, and half of the noisiest clips drowned; else as the bundled layers were trained
    text_first: bool = True
    groups: int = GROUPS  # of the norms of the temporal convolutions
    faint: bool = False  # the words for left and right are hardly apart, among 77 tokens


ARMS = {
    "attention": Arm(),
    "tokens": Arm("tokens"),
    "attention, old recipe": Arm(text_first=False),
    "tokens, old recipe": Arm("tokens", text_first=False),
    "attention, 16 groups": Arm(groups=16),
    "attention, faint words": Arm(faint=True),
    "tokens, faint words": Arm("tokens", faint=True),
}


@dataclass
class Trained:
    """The layers of an arm on their way."""

    arm: Arm
    stack: TemporalStack
    optimizer: torch.optim.Optimizer
    average: Average


def new_layers(arm: Arm, seed: int, shape: UNetShape = UNET) -> Trained:
    """Fresh layers of an arm, the same ones for a seed as far as arms are alike."""
    torch.manual_seed(100 + seed)
    config = StackConfig(shape, "sense", FRAMES, False, False, positions=arm.positions)
    stack = TemporalStack(config, ops=norms_of(arm.groups))
    optimizer = torch.optim.AdamW(stack.parameters(), weight_decay=0.01, fused=True)
    return Trained(arm, stack, optimizer, Average(stack, 0.98))


def levels(text_first: bool, count: int, dice: torch.Generator) -> tuple[Tensor, Tensor]:
    """Diffusion steps of clips `(b,)`, and the share of their signal that is left `(b,)`."""
    power, dropped = (1 / 3, 0.5) if text_first else (1 / 2, 0.25)
    t = ((torch.rand(count, generator=dice) + torch.arange(count)) / count) ** power
    t = (t * NOISE.num_steps).long().clamp(max=NOISE.num_steps - 1)
    drowned = (torch.rand(count, generator=dice) < dropped) & (t >= 850)
    share = torch.rand(count, generator=dice)
    if text_first:
        share = share * (torch.rand(count, generator=dice) < 0.5)
    return t, torch.where(drowned, share, torch.ones(count))


def errors(
    arm: Arm,
    stack: TemporalStack,
    denoise: Denoise,
    clips: Tensor,
    said: Tensor,
    t: Tensor,
    left: Tensor,
    noise: Tensor,
) -> Tensor:
    """Squared error of each clip `(b,)`; t and left of each `(b,)`."""
    x = rearrange(clips, "b f c h w -> (b f) c h w")
    t, left = (repeat(v, "b -> (b f)", f=FRAMES) for v in (t, left))
    noisy = NOISE.add_noise(x, noise, t, left)
    heard = Clip(FRAMES, text=faint(said) if arm.faint else said)
    made = denoise(noisy, t, said, stack, stack.prepare(heard))
    squared = (made - NOISE.training_target(x, noisy, t)).square()
    return reduce(squared, "(b f) c h w -> b", "mean", f=FRAMES)


def train_step(
    arms: dict[str, Trained], denoise: Denoise, seed: int, step: int, batch: int
) -> dict[str, float]:
    """One step of every arm on the same clips; the losses."""
    dice = torch.Generator().manual_seed(seed * 1000003 + step)
    clips, colour, way = draw(batch, dice)
    said = text(colour, way, torch.rand(batch, generator=dice) < 0.1)
    drawn = {True: levels(True, batch, dice)}
    noise = torch.randn(batch * FRAMES, *clips.shape[2:], generator=dice)
    drawn[False], losses = levels(False, batch, dice), {}
    for name, trained in arms.items():
        set_rate(trained.optimizer, 2e-3 * min(1, (step + 1) / 40))
        t, left = drawn[trained.arm.text_first]
        each = errors(trained.arm, trained.stack, denoise, clips, said, t, left, noise)
        loss = (NOISE.weight(t, 20.0) * each).mean()
        descend(loss, trained.optimizer, trained.stack)
        trained.average.update(trained.stack)
        losses[name] = loss.item()
    return losses


@torch.no_grad()
def check(
    arm: Arm, stack: TemporalStack, denoise: Denoise, count: int, world: World = draw
) -> Iterator[dict[str, Any]]:
    """Share of clips whose right word has the smaller error, at every noise level, and by how much."""
    batch = 64
    for number, (t, left) in enumerate(LEVELS):
        dice, pairs = torch.Generator().manual_seed(9000 + number), []
        for _ in range(0, count, batch):
            clips, colour, way = world(batch, dice)
            noise = torch.randn(batch * FRAMES, *clips.shape[2:], generator=dice)
            shared = (torch.full((batch,), t), torch.full((batch,), left), noise)
            pairs.append(
                [errors(arm, stack, denoise, clips, text(colour, w), *shared) for w in (way, 1 - way)]
            )
        right, wrong = (torch.cat(side) for side in zip(*pairs, strict=True))
        known, low, high = share_interval(int((right < wrong).sum()), len(right))
        gap = float((wrong - right).mean() / right.mean())
        yield {"t": t, "signal": left, "known": known, "low": low, "high": high, "n": len(right), "gap": gap}


def run(args: argparse.Namespace) -> None:
    args.folder.mkdir(parents=True, exist_ok=True)
    unet = image_model(args.folder / "image.pt")
    from ...nodes.host.training.unet import denoiser

    denoise, arms = denoiser(unet), {name: new_layers(ARMS[name], args.seed) for name in args.arms}
    state, first, found = args.folder / f"seed-{args.seed}.pt", 0, []
    if state.exists():
        saved = torch.load(state, weights_only=True)
        first, found = saved["step"], json.loads(saved["found"])
        for name, trained in arms.items():
            parts = (trained.stack, trained.optimizer, trained.average.module)
            for part, values in zip(parts, saved[name], strict=True):
                part.load_state_dict(values)
            trained.average.updates = first
    began = time.process_time()
    for step in range(first, args.steps):
        losses = train_step(arms, denoise, args.seed, step, args.batch)
        if (step + 1) % args.every:
            continue
        for name, trained in arms.items():
            levels_found = list(check(trained.arm, trained.average.module, denoise, args.clips))
            found.append({"arm": name, "step": step + 1, "loss": losses[name], "levels": levels_found})
            shares = " ".join(f"{level['known']:.3f}" for level in levels_found)
            print(f"step {step + 1}, {name}: {shares}, {time.process_time() - began:.0f} CPU s", flush=True)
        keep: dict[str, Any] = {"step": step + 1, "found": json.dumps(found)}
        for name, trained in arms.items():
            parts = (trained.stack, trained.optimizer, trained.average.module)
            keep[name] = [part.state_dict() for part in parts]
        torch.save(keep, state.with_suffix(".partial"))
        state.with_suffix(".partial").replace(state)
        settings = {
            "seed": args.seed,
            "batch": args.batch,
            "arms": {name: asdict(ARMS[name]) for name in arms},
        }
        args.out.write_text(json.dumps({"settings": settings, "found": found}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--folder", type=Path, required=True, help="for the image model and the state of the run"
    )
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["attention", "tokens"])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--batch", type=int, default=48, help="clips a step")
    parser.add_argument("--every", type=int, default=50, help="steps between checks")
    parser.add_argument("--clips", type=int, default=192, help="clips of a check")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "results" / "sense.json")
    args = parser.parse_args()
    use_host()
    keep_freed_memory()
    torch.set_num_threads(1)
    run(args)


if __name__ == "__main__":
    main()
