"""One of several processes that train the tiny problem; the first writes losses and weights.

Started by torch.distributed.run with a folder: of clips, and `PIECES OUT`, and where it is to stop early a
step, whose state it then writes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from video_ldm.temporal.training.checkpoint import go_on
from video_ldm.temporal.training.data.cache import open_cache
from video_ldm.temporal.training.engine import engine
from video_ldm.temporal.training.memory.recompute import Memory
from video_ldm.tests.temporal.training import world

STEPS = 3


def train(
    folder: Path, pieces: int, memory: Memory, until: int | None = None, state: Path | None = None
) -> dict[str, object]:
    """Losses and weights after some steps, or the state after step `until`; `state` is gone on with."""
    torch.manual_seed(0)
    model = world.ImageModel()
    cache = open_cache(folder, "tiny")
    trainer = world.make_trainer(cache, model, accumulate=pieces, steps=STEPS, memory=memory)
    if state is not None:
        go_on(trainer, state)
    trainer.run(until)
    if until is not None:
        return trainer.state_dict()
    return {"losses": trainer.losses, "weights": trainer.stack.state_dict()}


if __name__ == "__main__":
    with engine() as processes:
        stop = int(sys.argv[4]) if len(sys.argv) > 4 else None
        made = train(Path(sys.argv[1]), int(sys.argv[2]), Memory(engine=processes), stop)
        if processes.is_first:
            torch.save(made, sys.argv[3])
