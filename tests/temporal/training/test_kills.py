"""Training killed at every one of its file operations.

Gone on with, it ends as if nothing had happened, and nothing is left.

Tiny problems of one step; `python -m video_ldm.benchmarks.faults.kills` kills all of them at every operation
of two steps, with a state in between, and counts.
"""

from __future__ import annotations

import argparse
import functools
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from video_ldm.temporal.decoder.formats import save_decoder
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.formats import save_stack
from video_ldm.temporal.stack.low_rank import Changed
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.training.checkpoint import load_state
from video_ldm.temporal.training.data.batches import BatchSource
from video_ldm.temporal.training.data.cache import ClipCache, is_current, open_cache
from video_ldm.temporal.training.data.preparing import write_cache, write_captions
from video_ldm.temporal.training.loop import Surroundings
from video_ldm.temporal.training.lora.config import LoraConfig
from video_ldm.temporal.training.lora.files import new_lora, write_image_lora, write_lora
from video_ldm.temporal.training.lora.layers import LowRank
from video_ldm.temporal.training.lora.trainer import LoraTrainer
from video_ldm.temporal.training.noise_levels import stable_diffusion_levels
from video_ldm.temporal.training.trainer import Trainer
from video_ldm.temporal.training.upscaler import write_upscaler
from video_ldm.temporal.weights.whole_file import whole_file
from video_ldm.tests import kill
from video_ldm.tests.temporal.training import test_decoder, test_upscaler, world
from video_ldm.training import results

pytestmark = pytest.mark.slow
linux = pytest.mark.skipif(not kill.IS_AVAILABLE, reason="Linux counts the operations")
Problem = tuple[Trainer, Callable[[Path], None]]
# A UNet with one transformer: a state with few tensors is saved quickly.
SMALL = replace(world.SHAPE, transformer_depth_output=(0, 0), transformer_depth_middle=-2)


def prepare(folder: Path) -> None:
    """Clips and texts that are made where they are not there yet, as the command line does it."""
    clips = folder / "clips"
    if not is_current(clips, "these"):
        write_cache(clips, world.clips(count=1), "these")
    write_captions(clips, "tiny", world.embed)


@functools.cache
def clips_in_memory() -> ClipCache:
    """A prepared clip, whose files are gone."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        cache = open_cache(Path(folder) / "clips", "tiny")
        return replace(cache, latents=np.array(cache.latents), text=np.array(cache.text))


def layers(_before: argparse.Namespace, steps: int) -> Problem:
    trainer = world.make_trainer(clips_in_memory(), world.ImageModel(), steps=steps, shape=SMALL)

    def write(path: Path) -> None:
        with trainer.average.applied_to(trainer.stack):
            save_stack(path, trainer.stack, {"step": str(trainer.step)})

    return trainer, write


def decoder(_before: argparse.Namespace, steps: int) -> Problem:
    problem = test_decoder.Problem(steps=steps)

    def write(path: Path) -> None:
        with problem.trainer.average.applied_to(problem.trainer.trained):
            save_decoder(path, problem.decoder, {"step": str(problem.trainer.step)})

    return problem.trainer, write


def upscaler(_before: argparse.Namespace, steps: int) -> Problem:
    trainer = test_upscaler.make(steps=steps, spatial_steps=1)
    return trainer, lambda path: write_upscaler(path, trainer, {})


class LoraBeside(LoraTrainer):
    """A LoRA that puts itself beside what it changes while it trains, as `Lesson.learn` does for others."""

    beside: nn.Module

    def run(self, *args, **kwargs) -> None:
        with self.lora.beside(self.beside):
            super().run(*args, **kwargs)


def lora(before: argparse.Namespace, steps: int) -> Problem:
    """A motion LoRA: the looks are learned first, with files and a state of their own."""
    model, settings = world.ImageModel(), LoraConfig(rank=2)
    stack = TemporalStack(StackConfig(SMALL, "tiny", 4, known_frames=True, frame_rate=True))

    def trainer_of(factors: LowRank, beside: nn.Module, **changes: object) -> LoraTrainer:
        config = world.settings(steps=steps, **changes)
        batches = BatchSource(clips_in_memory(), config, stable_diffusion_levels())
        trainer = LoraBeside(factors, settings, stack, Surroundings(model.denoise, batches))
        trainer.beside = beside
        return trainer

    looks = LowRank(model, [Changed("conv_in.weight")], settings.rank, settings.scale)
    first = trainer_of(looks, model, num_frames=1, strides=(1,), patterns={"none": 1.0})
    first.strength = 0.0
    results.train(first, before, lambda path: write_image_lora(path, looks), lambda: None, 0)
    trainer = trainer_of(new_lora(stack, settings), stack)

    def write(path: Path) -> None:
        with trainer.average.applied_to(trainer.lora):
            write_lora(path, trainer.lora, stack, settings, "kohya", {"steps": trainer.step})

    return trainer, write


Make = Callable[[argparse.Namespace, int], Problem]
PROBLEMS: tuple[Make, ...] = (layers, lora, decoder, upscaler)


def train(make: Make, folder: Path, steps: int) -> None:
    """Train as the command line does; a run that was killed goes on where it left a state."""
    torch.manual_seed(1)
    out = folder / "out.safetensors"
    args = argparse.Namespace(out=str(out), resume=any(folder.glob("*.state.pt")), save_every=1)
    results.check_out(args)
    before, own = results.two_parts(args, ".looks")
    trainer, write = make(before, steps)
    results.train(trainer, own, write, lambda: None, show_every=0)


def left(folder: Path) -> dict[str, object]:
    """State of a run's folder: numbers, steps and losses of its state, and the names of all files."""
    state = load_state(folder / "out.state.pt")
    weights = load_file(folder / "out.safetensors")
    numbers = {name: value.double().sum().item() for name, value in sorted(weights.items())}
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return {"weights": numbers, "step": state["step"], "losses": state["losses"], "names": names}


def kills(make: Make, base: Path, steps: int, at: Callable[[str], bool] = lambda _: True) -> list[str]:
    """The operations right before and right behind which a training was killed, of those that `at` chooses.

    Fails where one that is gone on with does not end as one that was not killed.
    """
    straight, folder = base / make.__name__, base / f"{make.__name__}_killed"
    clear(straight), clear(folder)
    train(make, straight, steps)
    expected = left(straight)
    assert expected["step"] == steps
    operations = kill.trial(lambda: train(make, folder, steps), folder).operations
    assert left(folder) == expected
    chosen = {n + side for n, line in enumerate(operations, 1) if at(line) for side in (0, 1)}
    for number in sorted(chosen - {len(operations) + 1}):
        clear(folder)
        made = kill.trial(lambda: train(make, folder, steps), folder, number)
        assert made.killed
        train(make, folder, steps)
        assert left(folder) == expected, made.operations[-1]
    return [operations[number - 1] for number in sorted(chosen - {len(operations) + 1})]


ALL_KILLS = """
import json, pathlib, sys
from video_ldm.temporal.training import report
from video_ldm.tests.temporal.training import test_kills as tests
report.loss_curve = tests.curve
folder = pathlib.Path(sys.argv[1])
renames = lambda line: line.startswith("rename")
few = ("layers", "lora", "upscaler")
killed = {name: tests.kills(getattr(tests, name), folder, 1, renames) for name in few}
print(json.dumps({**killed, "decoder": tests.kills(tests.decoder, folder, 1)}))
"""


@linux
def test_trainings_killed_at_their_operations(tmp_path):
    """All write by the same code: one is killed everywhere, the others around each file that appears.

    In a process of its own: one that has ever trained with threads cannot train on in its copies.
    """
    command = [sys.executable, "-c", ALL_KILLS, str(tmp_path)]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    killed = json.loads(made.stdout)
    assert len(killed["decoder"]) > 30
    for operations in killed.values():
        paths = " ".join(operations)
        assert all(name in paths for name in ("out.state.pt", "out.safetensors", "out.loss.png"))


@linux
def test_preparing_killed_at_every_operation(tmp_path):
    """Without a training after it: the files are the same to the last byte."""
    straight, folder = tmp_path / "straight", tmp_path / "killed"
    prepare(straight)
    killed = 0
    for made in kill.at_every_operation(lambda: prepare(folder), folder, lambda: clear(folder)):
        prepare(folder)
        assert contents(folder) == contents(straight), made.operations[-1]
        killed += 1
    assert killed > 40


def clear(folder: Path) -> None:
    """An empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder; of a seal all but the time of its file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name: path.read_bytes().partition(b"mtime_ns")[0] for path in files}


def curve(path: Path, losses: list[float], _held_out: object = ()) -> None:
    """In place of a drawing, which takes longer than all the rest."""
    with whole_file(path) as partial:
        partial.write_text(str(losses))


@pytest.mark.parametrize("make", PROBLEMS, ids=lambda make: make.__name__)
def test_resumed_behind_the_last_step_the_file_is_written(tmp_path, make):
    """Resume what a kill between the last state and the file left.

    And a file of an earlier step, which was told as the result.
    """
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
