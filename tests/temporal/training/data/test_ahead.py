"""Drawing ahead: workers change nothing but the time."""

from __future__ import annotations

import os

import pytest
import torch
from video_ldm.temporal.training.data.ahead import DrawnAhead
from video_ldm.tests.temporal.training import world

pytestmark = pytest.mark.slow


def draw(step: int) -> tuple[int, torch.Tensor]:
    """Drawing process, and what follows from the step."""
    return os.getpid(), torch.randn(2, generator=torch.Generator().manual_seed(step))


@pytest.mark.parametrize("workers", [0, 2])
def test_steps_in_and_out_of_turn(workers):
    drawn = DrawnAhead(draw, steps=6, workers=workers)
    for step in (0, 1, 2, 1, 2, 5, 7, 0):
        assert torch.equal(drawn(step)[1], draw(step)[1])


def test_workers_draw():
    assert DrawnAhead(draw, steps=3, workers=1)(0)[0] != os.getpid()
    assert DrawnAhead(draw, steps=3, workers=0)(0)[0] == os.getpid()


def test_training_is_the_same_with_workers(tmp_path):
    cache = world.make_cache(tmp_path)
    losses = []
    for workers in (0, 2):
        torch.manual_seed(0)
        settings = {"steps": 3, "batch": 2, "accumulate": 2, "other_lengths": (2,)}
        trainer = world.make_trainer(cache, world.ImageModel(), workers=workers, **settings)
        trainer.run()
        losses.append(trainer.losses)
    assert losses[0] == losses[1]
