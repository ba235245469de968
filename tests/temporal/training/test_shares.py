"""Layers shared out among processes: the run of whole ones in half of the memory, with ordinary states."""

from __future__ import annotations

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.training.memory.recompute import Memory
from video_ldm.tests.temporal.training import test_engine, two_processes, world
from video_ldm.training import layers


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "clips"
    world.make_cache(folder)
    return folder


@pytest.fixture(scope="module")
def alone(clips):
    """The run of one process that adds up two batches."""
    return two_processes.train(clips, 2, Memory())


def assert_same_run(made, alone):
    assert made["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    for part in ("weights", "average"):
        assert made[part].keys() == alone[part].keys()
        for name, weight in alone[part].items():
            torch.testing.assert_close(made[part][name], weight, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_processes_with_a_share_each_are_one_that_has_all(clips, alone, tmp_path):
    """Layers are computed twice and averaged elsewhere, too, as a training does that hardly fits."""
    made = test_engine.launched(clips, tmp_path / "made.pt", "--shard", "--memory", "small")
    assert_same_run(made, alone)
    assert made["bytes"] == pytest.approx(alone["bytes"] / 2, rel=1e-3)


@pytest.mark.slow
def test_a_state_of_shares_goes_on_whole_and_back(clips, alone, tmp_path):
    shared, whole = tmp_path / "shared.pt", tmp_path / "whole.pt"
    test_engine.launched(clips, shared, "--shard", "--until", "2")
    assert_same_run(two_processes.train(clips, 2, Memory(), state=shared), alone)
    torch.save(two_processes.train(clips, 2, Memory(), until=2), whole)
    assert_same_run(
        test_engine.launched(clips, tmp_path / "made.pt", "--shard", "--state", str(whole)), alone
    )


@pytest.mark.slow
def test_a_killed_process_ends_those_that_wait_for_its_share(clips, tmp_path):
    words = [two_processes.__file__, str(clips), str(tmp_path / "made.pt"), "--shard", "--kill", "1"]
    test_engine.assert_told_of_the_second(words)


@pytest.mark.parametrize(
    ("words", "processes", "sentence"),
    [
        ((), 1, r"but this one is alone; start it with torchrun"),
        (("--memory", "smallest"), 2, r"At memory 'smallest' .* choose 'fast' or 'small', or leave --shard"),
        (("--memory", "smaller"), 2, r"At memory 'smaller' .* choose 'fast' or 'small'"),
        (("--train-image-model",), 2, "--train-image-model is given, but needs the weights whole"),
        (("--compile",), 2, "--compile is given, but needs the weights whole"),
    ],
)
def test_what_cannot_be_shared_out_is_refused(words, processes, sentence):
    files = ["--checkpoint", "a", "--clips", "b", "--out", "c.safetensors"]
    with pytest.raises(InvalidInputError, match=sentence):
        layers.check_shard(layers.parser().parse_args([*files, "--shard", *words]), processes)
