"""Jumps at keyframes are told from what happens elsewhere (benchmarks/toy_world/passes.py)."""

from __future__ import annotations

import numpy as np
from video_ldm.benchmarks.toy_world.passes import FIRST_PASS, FRAMES, GIVEN, SECOND_PASS, jumps, next_to


def test_every_frame_is_of_one_kind():
    assert sorted([*GIVEN, *FIRST_PASS, *SECOND_PASS]) == list(range(FRAMES))
    assert (len(GIVEN), len(FIRST_PASS), len(SECOND_PASS)) == (8, 21, 84)


def test_a_picture_that_pulses_at_given_frames_jumps_there_alone():
    level = np.where(np.isin(np.arange(FRAMES), GIVEN), 5.0, 0.0) + np.arange(FRAMES)
    found = jumps(np.abs(np.diff(level)), 1)
    assert found["given"] > 3 and found["first"] == 1


def test_a_turn_counts_at_the_frame_where_it_happens():
    hit = next_to(np.array([16]), 2)
    assert np.flatnonzero(hit).tolist() == [15]  # the difference of frames 15, 16 and 17
    assert np.flatnonzero(next_to(np.array([16]), 1)).tolist() == [15, 16]


def test_an_object_that_is_not_seen_gives_no_number():
    sizes = np.ones(FRAMES - 1)
    sizes[next_to(GIVEN, 1)] = np.nan
    found = jumps(sizes, 1)
    assert np.isnan(found["given"]) and found["first"] == 1
