"""One of several processes that train the tiny problem; the first writes losses and weights.

Started by torch.distributed.run with a folder: of clips, and for `PIECES OUT`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from video_ldm.temporal.training.data.cache import open_cache
from video_ldm.temporal.training.engine import engine
from video_ldm.temporal.training.memory.recompute import Memory
from video_ldm.tests.temporal.training import world

STEPS = 3


def train(folder: Path, pieces: int, memory: Memory) -> dict[str, object]:
    """Losses and weights after some steps."""
    torch.manual_seed(0)
    model = world.ImageModel()
    cache = open_cache(folder, "tiny")
    trainer = world.make_trainer(cache, model, accumulate=pieces, steps=STEPS, memory=memory)
    trainer.run()
    return {"losses": trainer.losses, "weights": trainer.stack.state_dict()}


if __name__ == "__main__":
    with engine() as processes:
        made = train(Path(sys.argv[1]), int(sys.argv[2]), Memory(engine=processes))
        if processes.is_first:
            torch.save(made, sys.argv[3])
