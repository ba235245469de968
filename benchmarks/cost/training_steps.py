"""Measure the time of a training step on the toy models with and without blocks that are computed twice.

    OMP_NUM_THREADS=1 python -m video_ldm.benchmarks.cost.training_steps --clips FOLDER

FOLDER holds videos of 128 x 128. The levels of memory take turns, so that other work on the machine is
shared between them; counted is CPU time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import torch

from ...nodes import host_boot as boot
from ...temporal.formats import load_stack
from ...temporal.training.config import TrainingConfig
from ...temporal.training.loop import LayersTrainer, Surroundings
from ...temporal.training.memory.levels import FAST, SMALL, Level
from ...temporal.training.memory.recompute import Memory
from ..toy_world.common import MODELS, RESULTS, ROOT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "training_steps.json")
    asked = parser.parse_args()
    boot.start_host(None, [str(ROOT / "demo" / "host_pack")], cpu=True)
    torch.set_num_threads(1)
    from ...nodes.host.training.data.clips import prepare_clips
    from ...nodes.host.training.data.encoding import Footage
    from ...nodes.host.training.kinds import TrainedModel
    from ...nodes.host.training.models import load_checkpoint
    from ...nodes.host.training.unet import blocks_of

    config = TrainingConfig(num_frames=asked.frames, batch=1, steps=asked.steps + 1)
    kind = TrainedModel(load_checkpoint(str(MODELS / "toy_sd.safetensors")), config)
    clips = prepare_clips(Footage(asked.clips, 8.0, (128, 128), "drift"), kind)
    unet, seconds, losses = kind.models.frozen_unet(torch.float32), {}, {}

    def trainer_at(level: Level) -> LayersTrainer:
        memory, stack = Memory(level), load_stack(MODELS / "toy_temporal.safetensors", dtype=torch.float32)
        denoise = kind.models.denoiser(unet, memory.kept)
        return LayersTrainer(stack, Surroundings(denoise, kind.batches(clips), memory=memory))

    trainers = {level.name: trainer_at(level) for level in (FAST, SMALL)}
    for number in range(asked.steps + 1):
        for name, trainer in trainers.items():
            began = time.process_time()
            with ExitStack() as used:
                used.enter_context(trainer.memory.used_by(blocks_of(unet, trainer.stack)))
                losses.setdefault(name, []).append(trainer.train_step())
            trainer.step += 1
            if number:  # the first one warms up
                seconds.setdefault(name, []).append(round(time.process_time() - began, 3))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    found = {"frames": asked.frames, "cpu_seconds": seconds, "medians": medians, "losses": losses}
    found["same_losses"] = losses["fast"] == losses["small"]
    asked.out.write_text(json.dumps(found, indent=1) + "\n")
    sys.stdout.write(f"CPU seconds a step {medians}, equal losses: {found['same_losses']}\n")


if __name__ == "__main__":
    main()
