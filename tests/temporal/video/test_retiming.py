"""Another frame rate: beside a film cut into ticks so short that both rates are whole numbers of them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.video.retiming import BLEND, NEAREST, frames_at, frames_in, mixes

RATES = [(8, 24), (24, 8), (24, 25), (25, 24), (8, 12), (30, 24), (60, 7), (7, 60), (10, 10), (16, 1)]


def ticks(count: int, before: int, after: int) -> tuple[list[int], int]:
    """The frame that is seen at every tick of a film, and how many ticks a new frame lasts."""
    return [frame for frame in range(count) for _ in range(after)], before


@pytest.mark.parametrize(("before", "after"), RATES)
@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_what_is_seen_when(count, before, after):
    seen, lasts = ticks(count, 2 * before, 2 * after)  # so that a new frame has a tick in its middle
    plan = mixes(count, before, after, NEAREST)
    into = lasts // 2 if before < after else 0
    moments = [min(number * lasts + into, len(seen) - 1) for number in range(len(plan))]
    assert [mix for (mix,) in plan] == [(seen[moment], 1.0) for moment in moments]
    assert plan[0] == ((0, 1.0),)
    assert len(plan) == 1 or abs(len(plan) / after - count / before) <= 0.5 / after
    if before < after:
        assert {mix[0] for (mix,) in plan} == set(range(count))  # none is lost


@pytest.mark.parametrize(("before", "after"), [rates for rates in RATES if rates[0] > rates[1]])
def test_fewer_frames_mix_what_they_last(before, after):
    seen, lasts = ticks(16, before, after)
    for number, mix in enumerate(mixes(16, before, after, BLEND)):
        during = Counter(seen[number * lasts : (number + 1) * lasts])
        assert dict(mix) == pytest.approx({frame: n / during.total() for frame, n in during.items()})


@pytest.mark.parametrize(("before", "after"), [rates for rates in RATES if rates[0] <= rates[1]])
def test_more_frames_move_on_straight_lines(before, after):
    heights = np.random.default_rng(0).normal(size=16)
    plan = mixes(16, before, after, BLEND)
    made = [sum(share * heights[frame] for frame, share in mix) for mix in plan]
    times = np.arange(len(plan)) / after
    assert made == pytest.approx(np.interp(times, np.arange(16) / before, heights))
    assert all(len(mix) == 1 for mix, time in zip(plan, times, strict=True) if (time * before) % 1 == 0)


@pytest.mark.slow
def test_an_hour_of_ntsc_drifts_by_no_frame():
    ntsc = 24000 / 1001
    assert frames_at(86400, 24, ntsc) == round(86400 / 24 * 24000 / 1001)
    plan = mixes(86400, ntsc, 24, NEAREST)
    assert len(plan) == 86486 and plan[-1] == ((86399, 1.0),) and plan[43243] == ((43200, 1.0),)


@pytest.mark.parametrize(
    ("seconds", "fps", "frames"),
    [
        (2, 8, 16),
        (1.3, 8, 10),
        (1.25, 8, 10),
        (0.3125, 8, 3),
        (0.01, 8, 1),
        (4.708, 24, 113),
        (0.1, 23.976, 2),
    ],
)
def test_a_length_is_the_nearest_number_of_frames(seconds, fps, frames):
    assert frames_in(seconds, fps) == frames


@pytest.mark.parametrize("fps", [0.0, -8.0, float("nan"), float("inf")])
def test_what_is_no_rate_is_refused(fps):
    for call in (
        lambda: frames_in(1, fps),
        lambda: mixes(8, fps, 8, NEAREST),
        lambda: mixes(8, 8, fps, BLEND),
    ):
        with pytest.raises(InvalidInputError, match="A frame rate is a number above 0"):
            call()


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_length_is_refused(seconds):
    with pytest.raises(InvalidInputError, match="A clip lasts more than 0 seconds"):
        frames_in(seconds, 8)
