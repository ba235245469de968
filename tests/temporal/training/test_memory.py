"""Levels of memory: the same gradients bit for bit, averages elsewhere, a refusal that names what fits."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.training.ema import ExponentialMovingAverage
from video_ldm.temporal.training.memory.levels import FAST, SMALL, SMALLEST, chosen_level
from video_ldm.temporal.training.memory.live import LiveMemory
from video_ldm.temporal.training.memory.recompute import Memory, recomputed
from video_ldm.tests.temporal.training import world

GIB = 2**30


def needed(level) -> int:
    return {"fast": 12, "small": 6, "smallest": 4}[level.name] * GIB


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return world.make_cache(tmp_path_factory.mktemp("clips"))


def gradients(trainer) -> dict[str, torch.Tensor]:
    trainer.backward()
    return {name: p.grad.clone() for name, p in trainer.stack.named_parameters() if p.grad is not None}


@pytest.mark.slow
def test_gradients_of_recomputed_layers_are_those_without_to_the_last_bit(cache):
    torch.manual_seed(0)
    model = world.ImageModel()
    plain = world.make_trainer(cache, model)
    twice = world.make_trainer(cache, model)
    plain.train_step(), twice.train_step()  # a new layer has next to no gradients
    with recomputed(twice.stack.layers.values()):
        there, here = gradients(twice), gradients(plain)
    assert here.keys() == there.keys() == {name for name, _ in plain.stack.named_parameters()}
    assert all(torch.equal(value, there[name]) for name, value in here.items())
    assert not any("forward" in vars(layer) for layer in twice.stack.layers.values())


def test_a_recomputed_block_keeps_only_what_goes_in():
    blocks = [nn.Sequential(*(nn.Linear(8, 8, device="meta") for _ in range(6))) for _ in range(4)]

    def held() -> int:
        x = torch.empty(1000, 8, device="meta", requires_grad=True)
        with LiveMemory() as memory:
            for block in blocks:
                x = block(x)
            return memory.now

    plain = held()
    with recomputed(blocks):
        assert held() < 0.3 * plain
    with recomputed(blocks), torch.no_grad():
        assert held() < 0.1 * plain
    assert held() == plain


def test_a_block_with_a_forward_of_its_own_has_it_back():
    block = nn.Linear(2, 2)
    own = block.forward = torch.nn.functional.relu
    with recomputed([block]):
        assert block.forward is not own
    assert block.forward is own


def test_an_average_on_the_cpu_is_the_same(cache):
    torch.manual_seed(0)
    model = world.ImageModel()
    runs = [world.make_trainer(cache, model, memory=Memory(level)) for level in (FAST, SMALL)]
    for trainer in runs:
        trainer.run(until=2)
    assert runs[0].losses == runs[1].losses
    assert all(torch.equal(a, runs[1].average.average[n]) for n, a in runs[0].average.average.items())


def test_an_average_on_the_cpu_follows_weights_elsewhere():
    average = ExponentialMovingAverage(nn.Linear(2, 2, device="meta"), 0.9, on_cpu=False)
    assert {a.device.type for a in average.average.values()} == {"meta"}


@pytest.mark.slow
def test_the_small_optimiser_learns_and_goes_on_exactly(cache):
    pytest.importorskip("bitsandbytes")  # an extra of a few artists, which is large
    torch.manual_seed(0)
    model = world.ImageModel()

    def make():
        return world.make_trainer(cache, model, memory=Memory(SMALLEST))

    straight, first, second = make(), make(), make()
    straight.run(until=4)
    first.run(until=2)
    second.load_state_dict(first.state_dict())
    second.run(until=4)
    assert second.losses == straight.losses


def test_the_small_optimiser_without_its_package_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(InvalidInputError, match="'smallest' needs the package bitsandbytes"):
        SMALLEST.optimiser([{"params": list(nn.Linear(2, 2).parameters())}], 1e-3)


@pytest.mark.parametrize(
    ("name", "free", "level"),
    [("auto", 20, "fast"), ("auto", 7, "small"), ("auto", 5, "smallest"), ("small", 20, "small")],
)
def test_auto_is_the_fastest_that_fits(name, free, level):
    assert chosen_level(name, needed, free * GIB).name == level


@pytest.mark.parametrize(
    ("name", "free", "sentence"),
    [
        ("fast", 7, r"'fast' .* about 12.0 GiB, but 7.0 GiB are free .*; choose 'small', .* about 6.0 GiB"),
        ("auto", 3, r"'smallest' .* about 4.0 GiB, but 3.0 GiB are free .* no other level fits; train on"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(name, free, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        chosen_level(name, needed, free * GIB)
