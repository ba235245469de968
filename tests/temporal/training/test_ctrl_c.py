"""Ctrl+C in a training of the command line keeps what was learned, and the run goes on from there."""

from __future__ import annotations

import argparse
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from video_ldm.tests.temporal.training.test_kills import layers, prepare
from video_ldm.training import results

STEPS = 4


@pytest.fixture(autouse=True)
def listening():
    """Ctrl+C as a program in the foreground has it, however the tests were started."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def options(folder: Path, resume: bool = False) -> argparse.Namespace:
    return argparse.Namespace(out=str(folder / "out.safetensors"), resume=resume, save_every=100)


def run(folder: Path, resume: bool = False, pressed_in: int = -1) -> None:
    """Train as the command line does; Ctrl+C is pressed in the middle of a step."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(1)
    args = options(folder, resume)
    trainer, write = layers(args, STEPS)
    step = trainer.train_step

    def train_step() -> float:
        if trainer.step == pressed_in:
            signal.raise_signal(signal.SIGINT)
        return step()

    trainer.train_step = train_step
    results.train(trainer, args, write, lambda: None, show_every=0)


def test_the_step_is_finished_and_the_run_goes_on_as_if_nothing_had_been(tmp_path):
    prepare(tmp_path)
    run(tmp_path / "whole")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", pressed_in=1)
    assert signal.getsignal(signal.SIGINT) is before
    state = torch.load(tmp_path / "stopped" / "out.state.pt", weights_only=False)
    assert state["step"] == 2
    run(tmp_path / "stopped", resume=True)
    whole, stopped = (load_file(tmp_path / name / "out.safetensors") for name in ("whole", "stopped"))
    assert whole.keys() == stopped.keys()
    assert all(torch.equal(whole[key], stopped[key]) for key in whole)


def test_the_second_press_ends_at_once(tmp_path):
    prepare(tmp_path)
    args = options(tmp_path)
    trainer, write = layers(args, STEPS)

    def pressed_twice() -> float:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the step went on")

    trainer.train_step = pressed_twice
    with pytest.raises(KeyboardInterrupt):
        results.train(trainer, args, write, lambda: None, show_every=0)
    assert not (tmp_path / "out.state.pt").exists()


def test_what_runs_in_the_background_ignores_it_as_before(tmp_path):
    """Shells start background programs with Ctrl+C ignored, which is meant for another program."""
    prepare(tmp_path)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run(tmp_path, pressed_in=1)
    assert (tmp_path / "out.safetensors").is_file()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
