"""Levels of memory: the same gradients bit for bit, averages elsewhere, a refusal that names what fits."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn
from video_ldm.temporal.errors import IncompatibleModelError, InvalidInputError
from video_ldm.temporal.training.ema import ExponentialMovingAverage
from video_ldm.temporal.training.memory.levels import (
    FAST,
    SMALL,
    SMALLER,
    SMALLEST,
    Level,
    Room,
    chosen_level,
)
from video_ldm.temporal.training.memory.live import LiveMemory
from video_ldm.temporal.training.memory.recompute import Memory, recomputed
from video_ldm.tests.temporal.training import world

GIB = 2**30


def needed(level) -> Room:
    device, main = {"fast": (12, 0), "small": (6, 1), "smaller": (5, 1), "smallest": (3, 9)}[level.name]
    return Room(device * GIB, main * GIB)


@pytest.fixture(params=[True, False], ids=["with bitsandbytes", "without"])
def package(request, monkeypatch):
    monkeypatch.setattr(Level, "is_there", property(lambda level: request.param or level != SMALLER))
    return request.param


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


def test_an_optimiser_in_main_memory_is_the_ordinary_one_to_the_last_bit(cache):
    torch.manual_seed(0)
    model, straight = world.ImageModel(), {}
    for level in (FAST, SMALLEST):
        memory, more = Memory(level), {"accumulate": 2, "gradient_clip": 0.3}
        straight[level.name] = world.make_trainer(cache, model, memory=memory, **more)
        straight[level.name].run(until=2)
    fast, smallest = straight["fast"], straight["smallest"]
    assert smallest.losses == fast.losses and smallest.gradient == fast.gradient > fast.config.gradient_clip
    assert all(torch.equal(a, smallest.average.average[n]) for n, a in fast.average.average.items())
    assert all(p.grad is None for p in smallest.stack.parameters())


@pytest.mark.parametrize(("one", "other"), [(FAST, SMALLEST), (SMALLEST, SMALL)])
def test_a_state_goes_on_bit_for_bit_wherever_the_optimiser_is(cache, one, other):
    torch.manual_seed(0)
    model = world.ImageModel()
    straight, first, second = (
        world.make_trainer(cache, model, memory=Memory(level)) for level in (one, one, other)
    )
    straight.run(until=2)
    first.run(until=1)
    second.load_state_dict(first.state_dict())
    second.run(until=2)
    assert second.losses == straight.losses
    ended = straight.state_dict()["stack"]
    assert all(torch.equal(value, ended[name]) for name, value in second.state_dict()["stack"].items())


def test_halved_weights_learn_what_whole_ones_do(cache):
    torch.manual_seed(0)
    model = world.ImageModel()
    fast, halved = (
        world.make_trainer(cache, model, memory=Memory(level), precision="bf16") for level in (FAST, SMALLEST)
    )
    fast.run(until=2), halved.run(until=2)
    kinds = {weight.dtype for weight in halved.stack.parameters() if weight.ndim > 1}
    assert kinds == {torch.bfloat16}
    assert {value.dtype for value in halved.state_dict()["stack"].values()} == {torch.float32}
    assert halved.losses == pytest.approx(fast.losses, rel=2e-3)
    moved = torch.cat([(a - b).flatten() for a, b in _both(fast, halved)]).norm()
    first = world.make_trainer(cache, model)
    assert moved < 0.2 * torch.cat([(a - b).flatten() for a, b in _both(fast, first)]).norm()


def _both(one, other):
    there = other.state_dict()["stack"]
    return [(value, there[name]) for name, value in one.state_dict()["stack"].items()]


@pytest.mark.parametrize(("level", "key"), [(FAST, "state1"), (SMALLEST, "state1"), (SMALLER, "exp_avg")])
def test_a_state_of_an_optimiser_of_another_kind_is_refused(level, key, monkeypatch):
    from video_ldm.temporal.training.memory.levels import take_over_optimiser

    weights = [nn.Parameter(torch.zeros(2))]
    kind = torch.optim.SGD if level == SMALLER else torch.optim.AdamW
    state = {"state": {0: {key: torch.zeros(2)}}, "param_groups": []}
    names = "'fast' or 'small' or 'smallest'" if level == SMALLER else "'smaller'"
    with pytest.raises(IncompatibleModelError, match=f"another kind .* go on at memory {names}."):
        take_over_optimiser(kind(weights, 1e-3), state)


@pytest.mark.slow
def test_the_small_optimiser_learns_and_goes_on_exactly(cache):
    pytest.importorskip("bitsandbytes")  # an extra of a few artists, which is large
    torch.manual_seed(0)
    model = world.ImageModel()

    def make():
        return world.make_trainer(cache, model, memory=Memory(SMALLER))

    straight, first, second = make(), make(), make()
    straight.run(until=4)
    first.run(until=2)
    second.load_state_dict(first.state_dict())
    second.run(until=4)
    assert second.losses == straight.losses


def test_the_small_optimiser_without_its_package_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes.optim", None)
    with pytest.raises(InvalidInputError, match="'smaller' needs the package bitsandbytes"):
        SMALLER.optimiser([{"params": list(nn.Linear(2, 2).parameters())}], 1e-3)


@pytest.mark.parametrize(
    ("name", "free", "level"),
    [
        ("auto", (20, 9), "fast"),
        ("auto", (7, 9), "small"),
        ("auto", (5, 9), "smaller"),
        ("auto", (4, 9), "smallest"),
        ("small", (20, 9), "small"),
    ],
)
def test_auto_is_the_fastest_that_fits(name, free, level, package):
    expected = "smallest" if level == "smaller" and not package else level
    assert chosen_level(name, needed, Room(*(n * GIB for n in free))).name == expected


@pytest.mark.parametrize(
    ("name", "free", "sentence"),
    [
        ("fast", (7, 9), r"'fast' .* about 12.0 GiB, but 7.0 GiB are free on the device; choose 'small', "),
        ("fast", (4, 9), r"choose 'smallest', which needs about 3.0 GiB and 9.0 GiB of main memory\.$"),
        (
            "auto",
            (2, 9),
            r"'smallest' .* about 3.0 GiB, but 2.0 GiB are free .* no other level fits; train on",
        ),
        ("auto", (4, 8), r"'smallest' .* about 9.0 GiB of main memory, but 8.0 GiB are free, and no other"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(name, free, sentence, package):
    with pytest.raises(InvalidInputError, match=sentence):
        chosen_level(name, needed, Room(*(n * GIB for n in free)))
