"""Layers shared out among processes: the run of whole ones in half of the memory, with ordinary states."""

from __future__ import annotations

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.training.checkpoint import load_state
from video_ldm.temporal.training.memory.recompute import Memory
from video_ldm.temporal.training.watching.log import read_log
from video_ldm.tests.temporal.training import test_engine, two_processes, world
from video_ldm.training.layers import options as layers


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
def test_a_run_of_shares_leaves_the_files_of_one(tmp_path):
    """Looks, samples and states are computed by all and written by the first."""
    world.make_cache(tmp_path / "clips", count=12)
    folders = tmp_path / "alone", tmp_path / "both"
    for folder in folders:
        folder.mkdir()
    two_processes.train_to_files(tmp_path / "clips", folders[0] / "made.safetensors", 2, Memory())
    made = test_engine.launched(tmp_path / "clips", folders[1] / "made.safetensors", "--shard", "--files")
    names = [sorted(path.name for path in folder.iterdir() if path.is_file()) for folder in folders]
    assert names[0] == names[1] and "made.best.safetensors" in names[0]
    states = [load_state(folder / "made.state.pt") for folder in folders]
    assert states[1]["losses"] == pytest.approx(states[0]["losses"], rel=1e-5)
    looks = [[r["held_out"] for r in read_log(f / "made.log.jsonl") if "held_out" in r] for f in folders]
    assert len(looks[0]) == 1 + two_processes.STEPS and looks[1] == pytest.approx(looks[0], rel=1e-5)
    for name, weight in states[0]["average"]["average"].items():
        torch.testing.assert_close(made[name], weight, rtol=1e-5, atol=1e-5)


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
