"""Tiles that are blended: a mean with weights, complete, and invisible where tiles agree."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.upscaler.blend import blended, places, ramp


@pytest.mark.parametrize(
    ("length", "tile", "overlap"), [(5, 0, 2), (5, 8, 2), (9, 4, 2), (17, 8, 3), (16, 8, 0)]
)
def test_tiles_cover_a_side_and_share_at_least_the_overlap(length, tile, overlap):
    found = places(length, tile, overlap)
    assert found[0].start == 0 and found[-1].stop == length
    size = length if tile in (0, 8) and length < 8 else tile
    assert all(place.stop - place.start == size for place in found)
    assert all(before.stop - after.start >= overlap for before, after in pairwise(found))


def test_tiles_that_agree_leave_no_trace():
    x = torch.randn(2, 3, 19, 11)
    torch.testing.assert_close(blended(lambda box: x[..., box[0], box[1]] * 2, x, 8, 3), 2 * x)


def test_tiles_that_differ_are_a_mean_with_falling_weights():
    x = torch.zeros(1, 1, 4, 10)
    made = iter((torch.zeros(1, 1, 4, 6), torch.ones(1, 1, 4, 6)))
    row = blended(lambda box: next(made), x, 6, 2)[0, 0, 0]
    torch.testing.assert_close(row, torch.tensor([0, 0, 0, 0, 1 / 3, 2 / 3, 1, 1, 1, 1]))
    assert ramp(6, 2).tolist() == pytest.approx([1 / 3, 2 / 3, 1, 1, 2 / 3, 1 / 3])


def test_an_overlap_as_large_as_the_tile_is_refused():
    with pytest.raises(InvalidInputError, match="Tiles of 8 pixels cannot overlap by 8"):
        places(20, 8, 8)
