"""Pictures of one shape in frames of another."""

from __future__ import annotations

import numpy as np
import pytest
from video_ldm.temporal.video.fit import CROP, FITS, PAD, fit_into, frame_size


def scaled(fit, value=9):
    return np.full((*fit.scaled[::-1], 3), value, np.uint8)


@pytest.mark.parametrize("how", FITS)
@pytest.mark.parametrize("given", [(64, 48), (48, 64), (31, 7), (40, 24)])
def test_frames_have_the_size_that_was_asked_for(how, given):
    fit = fit_into(given, (40, 24), how)
    assert fit(scaled(fit)).shape == (24, 40, 3)


def test_crop_covers_the_frame_and_keeps_the_middle():
    fit = fit_into((64, 16), (16, 16), CROP)
    picture = scaled(fit)
    picture[:] = np.arange(64, dtype=np.uint8)[:, None]
    assert fit.scaled == (64, 16)
    assert fit(picture)[0, :, 0].tolist() == list(range(24, 40))


def test_pad_shows_all_between_equal_bars():
    fit = fit_into((64, 16), (16, 16), PAD)
    rows = fit(scaled(fit))[:, 0, 0].tolist()
    assert fit.scaled == (16, 4)
    assert rows == [0] * 6 + [9] * 4 + [0] * 6


@pytest.mark.parametrize(
    ("wished", "expected"),
    [
        ((0, 0), (1920, 1080)),
        ((0, 540), (960, 536)),
        ((960, 0), (960, 536)),
        ((100, 50), (96, 48)),
        ((8, 1), (8, 8)),
    ],
)
def test_a_missing_length_follows_the_film(wished, expected):
    assert frame_size((1920, 1080), *wished) == expected
