"""Several processes train as one that adds up as many batches."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
import torch
from torch import distributed
from video_ldm.temporal.errors import ProcessLostError
from video_ldm.temporal.training.engine import ALONE, Engine, engine
from video_ldm.temporal.training.memory.recompute import Memory
from video_ldm.tests.temporal.training import two_processes, world

pytestmark = pytest.mark.slow


def launched(folder, out, *words):
    """Losses and weights, or the state, of two processes."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, two_processes.__file__, str(folder), str(out), *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return torch.load(out, weights_only=True)


def test_two_processes_are_one_that_adds_up_two_batches_and_goes_on_with_their_state(tmp_path):
    world.make_cache(tmp_path / "clips")
    alone = two_processes.train(tmp_path / "clips", 2, Memory())
    both = launched(tmp_path / "clips", tmp_path / "made.pt")
    launched(tmp_path / "clips", tmp_path / "state.pt", "--until", "2")
    resumed = two_processes.train(tmp_path / "clips", 2, Memory(), state=tmp_path / "state.pt")
    for made in (both, resumed):
        assert made["losses"] == pytest.approx(alone["losses"], rel=1e-5)
        for name, weight in alone["weights"].items():
            torch.testing.assert_close(made["weights"][name], weight, rtol=1e-5, atol=1e-5)


def test_a_process_alone_waits_for_nobody():
    tensor = torch.ones(2)
    ALONE.add_up([tensor])
    ALONE.wait()
    with ALONE.first_one_first():
        assert ALONE.is_first and torch.equal(tensor, torch.ones(2))


def test_processes_that_do_not_meet_are_told(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for missing in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(missing, raising=False)
    with (
        pytest.raises(ProcessLostError, match=r"The 2 processes .* did not find each other \(.*RANK"),
        engine(),
    ):
        pass


LOST = """
import os, sys
from video_ldm.temporal.errors import exit_status
from video_ldm.temporal.training.engine import engine
import torch

def work():
    with engine() as processes:
        for step in range(1000):
            if step == 3 and processes.rank == 1:
                os.kill(os.getpid(), 9)
            processes.add_up([torch.ones(4)])

sys.exit(exit_status(work))
"""


def test_a_killed_process_ends_the_others_with_one_sentence(tmp_path):
    """Without a launcher, which would end them itself."""
    (tmp_path / "lost.py").write_text(LOST)
    assert_told_of_the_second([str(tmp_path / "lost.py")])


def assert_told_of_the_second(words: list[str]) -> None:
    """Of two processes the second is killed, and the first one says so."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    meet = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    both = [
        subprocess.Popen(
            [sys.executable, *words],
            env={**meet, "RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=120)[1] for process in both]
    finally:
        for process in both:
            process.kill()
    assert both[1].returncode == -9 and both[0].returncode == 2
    sentences = [line for line in said[0].splitlines() if line.startswith("error: ")]
    assert len(sentences) == 1 and "Another process of this training ended" in sentences[0]
    assert "Traceback" not in said[0]


def test_a_process_that_is_gone_is_told(monkeypatch):
    def gone(*_args):
        raise RuntimeError("Connection closed by peer [127.0.0.1]:1\nmore")

    monkeypatch.setattr(distributed, "all_reduce", gone)
    with pytest.raises(
        ProcessLostError, match=r"ended \(Connection closed by peer .*\); start all of them again"
    ):
        Engine(0, 2).add_up([torch.ones(1)])
