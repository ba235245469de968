"""Training killed at every one of its file operations: gone on with, it ends as if nothing had happened, and
nothing is left.

Tiny problems of one step; `python -m video_ldm.benchmarks.kills` trains them for two, with a state in
between, and counts.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from video_ldm.temporal.decoder.formats import save_decoder
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.formats import save_stack
from video_ldm.temporal.training.checkpoint import load_state
from video_ldm.temporal.training.data.cache import is_current, open_cache
from video_ldm.temporal.training.data.preparing import write_cache, write_captions
from video_ldm.temporal.training.trainer import Trainer
from video_ldm.temporal.training.upscaler import write_upscaler
from video_ldm.temporal.weights.whole_file import whole_file
from video_ldm.tests import kill
from video_ldm.tests.temporal.training import test_decoder, test_upscaler, world
from video_ldm.training import results

linux = pytest.mark.skipif(not kill.IS_AVAILABLE, reason="Linux counts the operations")
Problem = tuple[Trainer, Callable[[Path], None]]


def layers(folder: Path, steps: int) -> Problem:
    """Temporal layers on clips that are prepared where they are not yet, as the command line does it."""
    clips = folder / "clips"
    if not is_current(clips, "these"):
        write_cache(clips, world.clips(count=1), "these")
    write_captions(clips, "tiny", world.embed)
    trainer = world.make_trainer(open_cache(clips, "tiny"), world.ImageModel(), steps=steps)

    def write(path: Path) -> None:
        with trainer.average.applied_to(trainer.stack):
            save_stack(path, trainer.stack, {"step": str(trainer.step)})

    return trainer, write


def decoder(_folder: Path, steps: int) -> Problem:
    problem = test_decoder.Problem(steps=steps)

    def write(path: Path) -> None:
        with problem.trainer.average.applied_to(problem.trainer.trained):
            save_decoder(path, problem.decoder, {"step": str(problem.trainer.step)})

    return problem.trainer, write


def upscaler(_folder: Path, steps: int) -> Problem:
    trainer = test_upscaler.make(steps=steps, spatial_steps=1)
    return trainer, lambda path: write_upscaler(path, trainer, {})


PROBLEMS: tuple[Callable[[Path, int], Problem], ...] = (layers, decoder, upscaler)


def train(make: Callable[[Path, int], Problem], folder: Path, steps: int) -> None:
    """What the command line does; a run that was killed goes on where it left a state."""
    torch.manual_seed(1)
    out = folder / "out.safetensors"
    resume = out.with_suffix(".state.pt").exists()
    args = argparse.Namespace(out=str(out), resume=resume, save_every=1)
    results.check_out(args)
    trainer, write = make(folder, steps)
    results.train(trainer, args, write, lambda: None, show_every=0)


def left(folder: Path) -> dict[str, object]:
    """What a run left: numbers, the steps and losses of its state, and the names of all files."""
    state = load_state(folder / "out.state.pt")
    weights = load_file(folder / "out.safetensors")
    numbers = {name: value.double().sum().item() for name, value in sorted(weights.items())}
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return {"weights": numbers, "step": state["step"], "losses": state["losses"], "names": names}


def kills(make: Callable[[Path, int], Problem], base: Path, steps: int) -> list[str]:
    """The operations right before which a training was killed; fails where it does not end as one that was
    not."""
    straight, folder = base / "straight", base / "killed"
    straight.mkdir()
    train(make, straight, steps)
    expected = left(straight)
    assert expected["step"] == steps

    def fresh() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()

    killed = []
    for made in kill.at_every_operation(lambda: train(make, folder, steps), folder, fresh):
        train(make, folder, steps)
        assert left(folder) == expected, made.operations[-1]
        killed.append(made.operations[-1])
    assert left(folder) == expected  # of the run that was not killed
    return killed


@linux
@pytest.mark.parametrize("make", PROBLEMS, ids=lambda make: make.__name__)
def test_killed_at_every_operation(tmp_path, make):
    """In a process of its own: one that has ever trained with threads cannot train on in its copies."""
    code = (
        "import pathlib; from video_ldm.temporal.training import report; from video_ldm.tests.temporal.training import test_kills as t; "
        f"report.loss_curve = t.curve; assert len(t.kills(t.{make.__name__}, pathlib.Path({str(tmp_path)!r}), 1)) > 20"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr


def curve(path: Path, losses: list[float]) -> None:
    """In place of a drawing, which takes longer than all the rest."""
    with whole_file(path) as partial:
        partial.write_text(str(losses))


@pytest.mark.parametrize("make", PROBLEMS, ids=lambda make: make.__name__)
def test_resumed_behind_the_last_step_the_file_is_written(tmp_path, make):
    """What a kill between the last state and the file left, and a file of an earlier step, which was told
    as the result."""
    train(make, tmp_path, 1)
    expected = left(tmp_path)
    out = tmp_path / "out.safetensors"
    for content in (None, b"an earlier one"):
        out.unlink()
        if content is not None:
            out.write_bytes(content)
        train(make, tmp_path, 1)
        assert left(tmp_path) == expected


@pytest.mark.parametrize("make", PROBLEMS, ids=lambda make: make.__name__)
def test_a_file_of_an_earlier_run_is_not_overwritten(tmp_path, make):
    (tmp_path / "out.safetensors").write_bytes(b"published")
    with pytest.raises(InvalidInputError, match="already there and would be overwritten"):
        train(make, tmp_path, 1)
    assert (tmp_path / "out.safetensors").read_bytes() == b"published"
