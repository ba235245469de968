"""Training killed at every one of its file operations: gone on with, it ends as if nothing had happened, and nothing is left.

Here on tiny problems; `python -m video_ldm.benchmarks.kills` does the same with the command lines and the toy checkpoint.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from video_ldm.temporal.decoder.formats import save_decoder
from video_ldm.temporal.formats import save_stack
from video_ldm.temporal.training import report
from video_ldm.temporal.training.checkpoint import load_state
from video_ldm.temporal.training.data.cache import is_current, open_cache
from video_ldm.temporal.training.data.preparing import write_cache, write_captions
from video_ldm.temporal.training.running import Run
from video_ldm.temporal.training.upscaler import write_upscaler
from video_ldm.tests import kill
from video_ldm.tests.temporal.training import test_decoder, test_upscaler, world
from video_ldm.training import results

pytestmark = pytest.mark.skipif(not kill.IS_AVAILABLE, reason="Linux counts the operations")
STEPS = 2
Problem = tuple[Run, Callable[[Path], None]]


def layers(folder: Path) -> Problem:
    """Temporal layers on clips that are prepared where they are not yet, as the command line does it."""
    clips = folder / "clips"
    if not is_current(clips, "these"):
        write_cache(clips, world.clips(count=2), "these")
    write_captions(clips, "tiny", world.embed)
    trainer = world.make_trainer(open_cache(clips, "tiny"), world.ImageModel(), steps=STEPS)

    def write(path: Path) -> None:
        with trainer.average.applied_to(trainer.stack):
            save_stack(path, trainer.stack, {"step": str(trainer.step)})

    return trainer, write


def decoder(folder: Path) -> Problem:
    problem = test_decoder.Problem(steps=STEPS)

    def write(path: Path) -> None:
        with problem.trainer.average.applied_to(problem.trainer.trained):
            save_decoder(path, problem.decoder, {"step": str(problem.trainer.step)})

    return problem.trainer, write


def upscaler(folder: Path) -> Problem:
    trainer = test_upscaler.make(steps=STEPS, spatial_steps=1)
    return trainer, lambda path: write_upscaler(path, trainer, {})


def train(make: Callable[[Path], Problem], folder: Path) -> None:
    """What the command line does; a run that was killed goes on where it left a state."""
    torch.manual_seed(1)
    out = folder / "out.safetensors"
    resume = out.with_suffix(".state.pt").exists()
    args = argparse.Namespace(out=str(out), resume=resume, save_every=1)
    results.check_out(args)
    trainer, write = make(folder)
    results.train(trainer, args, write, lambda: None, show_every=0)


def left(folder: Path) -> dict[str, object]:
    """What a run left: numbers, the steps and losses of its state, and the names of all files."""
    state = load_state(folder / "out.state.pt")
    weights = load_file(folder / "out.safetensors")
    numbers = {name: value.double().sum().item() for name, value in sorted(weights.items())}
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return {"weights": numbers, "step": state["step"], "losses": state["losses"], "names": names}


@pytest.mark.parametrize("make", [layers, decoder, upscaler], ids=lambda make: make.__name__)
def test_killed_at_every_operation(tmp_path, make):
    report.loss_curve(tmp_path / "first.png", [1.0])  # what matplotlib loads is loaded before
    straight, folder = tmp_path / "straight", tmp_path / "killed"
    straight.mkdir()
    train(make, straight)
    expected = left(straight)
    assert expected["step"] == STEPS

    def fresh() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()

    kills = 0
    for _ in kill.at_every_operation(lambda: train(make, folder), folder, fresh):
        train(make, folder)
        assert left(folder) == expected
        kills += 1
    assert left(folder) == expected  # of the run that was not killed
    assert kills > 20
