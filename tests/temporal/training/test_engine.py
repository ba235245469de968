"""Several processes train as one that adds up as many batches."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import distributed
from video_ldm.temporal.errors import ProcessLostError
from video_ldm.temporal.training.engine import ALONE, Engine
from video_ldm.temporal.training.memory.recompute import Memory
from video_ldm.tests.temporal.training import two_processes, world


def test_two_processes_are_one_that_adds_up_two_batches(tmp_path):
    world.make_cache(tmp_path / "clips")
    alone = two_processes.train(tmp_path / "clips", 2, Memory())
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launch, two_processes.__file__, str(tmp_path / "clips"), "1", str(tmp_path / "made.pt")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    both = torch.load(tmp_path / "made.pt", weights_only=True)
    assert both["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    for name, weight in alone["weights"].items():
        torch.testing.assert_close(both["weights"][name], weight, rtol=1e-5, atol=1e-5)


def test_a_process_alone_waits_for_nobody():
    tensor = torch.ones(2)
    ALONE.add_up([tensor])
    ALONE.wait()
    with ALONE.first_one_first():
        assert ALONE.is_first and torch.equal(tensor, torch.ones(2))


def test_a_process_that_is_gone_is_told(monkeypatch):
    def gone(*_args):
        raise RuntimeError("Connection closed by peer [127.0.0.1]:1\nmore")

    monkeypatch.setattr(distributed, "all_reduce", gone)
    with pytest.raises(
        ProcessLostError, match=r"ended \(Connection closed by peer .*\); start all of them again"
    ):
        Engine(0, 2).add_up([torch.ones(1)])
