"""Cuts against drawn transitions whose place is known."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from video_ldm.temporal.curation.cuts import Transition, find_cuts, mixture, shots
from video_ldm.temporal.errors import MissingLibraryError

from .films import FPS, dissolve, shot, texture


def test_a_shot_has_no_cut():
    assert find_cuts(shot(1), FPS) == ([], 60)


@pytest.mark.parametrize("seed", range(3))
def test_a_hard_cut_is_found_at_its_frame(seed):
    found, _ = find_cuts(np.concatenate([shot(seed), shot(seed + 10)]), FPS)
    assert found == [Transition(60, 60)]


@pytest.mark.parametrize("length", [10, 25, 50])
def test_a_dissolve_is_found_whole(length):
    found, count = find_cuts(dissolve(shot(1, 110), shot(2, 110), length), FPS)
    assert len(found) == 1 and count == 220 - length
    start = 110 - length
    assert abs(found[0].start - start) <= 0.25 * length + 2 and abs(found[0].end - 110) <= 0.25 * length + 2


def test_a_fade_through_black_is_one_transition():
    down = np.linspace(1, 0, 12)[:, None, None, None]
    one, other = shot(1), shot(2)
    dark = np.concatenate([down * one[-12:], down[::-1] * other[:12]]).astype(np.uint8)
    found, _ = find_cuts(np.concatenate([one[:-12], dark, other[12:]]), FPS)
    assert len(found) == 1 and 46 <= found[0].start <= 60 and 60 <= found[0].end <= 100


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_is_no_cut(length):
    clip = shot(3, 90)
    clip[40 : 40 + length] = 250
    assert find_cuts(clip, FPS)[0] == []


def test_a_fast_pan_is_no_cut():
    wide = texture(4)
    way = [*[0] * 40, *np.linspace(0, 300, 12), *[300] * 40]
    assert find_cuts(np.stack([wide[:, int(x) : int(x) + 160] for x in way]), FPS)[0] == []


def test_motion_is_no_mixture_and_a_fade_is():
    one, other = (texture(seed).mean(axis=2)[:, :160].reshape(-1) for seed in (1, 2))
    share = np.linspace(0, 1, 12)[:, None]
    assert mixture((1 - share) * one + share * other) is not None
    wide = texture(1).mean(axis=2)
    moving = np.stack([wide[:, n * 20 : n * 20 + 160].reshape(-1) for n in range(12)])
    assert mixture(moving) is None


@pytest.mark.slow
def test_memory_does_not_grow_with_the_film():
    from video_ldm.temporal.curation.cuts import CutFinder

    finder = CutFinder(FPS)
    for _ in range(3):
        for frame in shot(1, 100):
            finder.add(frame)
    assert len(finder.recent) <= 2 * FPS + 2


def test_shots_lie_between_transitions():
    assert shots([Transition(10, 10), Transition(20, 30)], 40) == [(0, 10), (10, 20), (30, 40)]
    assert shots([Transition(0, 4)], 4) == []


def test_a_missing_library_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scenedetect.detectors", None)
    with pytest.raises(MissingLibraryError, match="pip install scenedetect-headless"):
        find_cuts(shot(1), FPS)
