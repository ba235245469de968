"""One of several processes that train the tiny problem; the first writes losses and weights.

Started by torch.distributed.run with a folder of clips, or of buckets of them, and OUT. `--until STEP` stops
early and writes the state; `--state FILE` goes on with one; `--shard` shares the layers out; `--kill STEP`
ends the last process; `--files` trains as the command line does.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import torch
from video_ldm.temporal.errors import exit_status
from video_ldm.temporal.training.checkpoint import go_on
from video_ldm.temporal.training.data.cache import open_cache
from video_ldm.temporal.training.engine import engine
from video_ldm.temporal.training.loop import LayersTrainer
from video_ldm.temporal.training.memory.levels import FAST, LEVELS
from video_ldm.temporal.training.memory.recompute import Memory
from video_ldm.tests.temporal.training import world
from video_ldm.training import results

STEPS = 3


def make(folder: Path, pieces: int, memory: Memory, **changes: float) -> LayersTrainer:
    """The trainer, always the same."""
    torch.manual_seed(0)
    model = world.ImageModel(world.WIDE)
    clips = world.open_buckets(folder) if (folder / "wide").is_dir() else open_cache(folder, "tiny")
    given = {"shape": world.WIDE, "steps": STEPS, "memory": memory}
    return world.make_trainer(clips, model, accumulate=pieces, **given, **changes)


def train_to_files(folder: Path, out: Path, pieces: int, memory: Memory) -> None:
    """Train as the command line does, with a look after every step and a sample that is a number."""
    trainer = make(folder, pieces, memory, kept_out=0.2)

    def write(path: Path) -> None:
        weights = {**trainer.weights.state_dict(), **trainer.whole_average()}
        if trainer.engine.is_first:
            torch.save(weights, path)

    def show() -> None:
        with trainer.with_average(), torch.no_grad():
            trainer.plain_loss(trainer.batches.draw(0))

    options = argparse.Namespace(out=str(out), resume=False, save_every=2)
    results.train(trainer, options, write, show, show_every=1)


def train(
    folder: Path,
    pieces: int,
    memory: Memory,
    until: int | None = None,
    state: Path | None = None,
    kill: int | None = None,
) -> dict[str, object]:
    """Losses, weights and averages after some steps, or the state after step `until`.

    `state` is gone on with. Behind the losses are the last gradient's length and a loss of the averages;
    beside them the bytes of what learns in this process.
    """
    trainer = make(folder, pieces, memory)
    if state is not None:
        go_on(trainer, state)

    def after_step(trainer: LayersTrainer) -> None:
        if trainer.step == kill and memory.engine.rank == memory.engine.world - 1:
            os.kill(os.getpid(), 9)

    with memory.used_by(trainer.stack.layers.values()):
        trainer.run(until, after_step)
        if until is not None:
            return trainer.state_dict()
        with trainer.with_average(), torch.no_grad():
            averaged = trainer.plain_loss(trainer.batches.draw(0)).item()
    return {
        "losses": [*trainer.losses, trainer.gradient, averaged],
        "weights": trainer.weights.state_dict(),
        "average": dict(trainer.whole_average()),
        "bytes": held(trainer),
    }


def held(trainer: LayersTrainer) -> int:
    """Bytes of the weights that learn here, of their gradients, optimiser and average."""
    weights = list(trainer.weights.parameters())
    known = [x for row in trainer.optimizer.state.values() for x in row.values() if x.ndim]
    return sum(x.nbytes for x in [*weights, *weights, *known, *trainer.average.average.values()])


def main() -> None:
    """Train as the words of the command line say."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--until", type=int)
    parser.add_argument("--kill", type=int)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--files", action="store_true")
    parser.add_argument("--shard", action="store_true")
    parser.add_argument("--memory", default=FAST.name)
    args = parser.parse_args()
    with engine(args.shard) as processes:
        memory = Memory(LEVELS[args.memory], engine=processes)
        if args.files:
            train_to_files(args.folder, args.out, 1, memory)
            return
        made = train(args.folder, 1, memory, args.until, args.state, args.kill)
        if processes.is_first:
            torch.save(made, args.out)


if __name__ == "__main__":
    sys.exit(exit_status(main))
