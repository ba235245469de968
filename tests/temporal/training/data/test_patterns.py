"""Known-frame patterns: masks exactly as their names say."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.training.data import patterns


@pytest.mark.parametrize(
    ("name", "num_frames", "given"),
    [
        ("none", 8, []),
        ("first", 8, [0]),
        ("first_two", 8, [0, 1]),
        ("ends", 5, [0, 4]),
        ("ends", 8, [0, 7]),
        ("every_fourth", 9, [0, 4, 8]),
        ("every_fourth", 8, [0, 4]),
        ("loop", 8, [0, 7]),
    ],
)
def test_masks(name, num_frames, given):
    mask = patterns.known_mask(name, num_frames)
    assert mask.shape == (num_frames,)
    assert mask.nonzero().flatten().tolist() == given
    assert set(mask.tolist()) <= {0.0, 1.0}


def test_random_mask_follows_its_generator():
    masks = [patterns.known_mask("random", 64, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(masks[0], masks[1])
    assert not torch.equal(masks[0], masks[2])
    assert 16 < masks[0].sum() < 48


def test_mixture_is_read_scaled_and_drawn_as_asked():
    weights = patterns.parse_patterns("none=3, first-two=1")
    assert weights == {"none": 0.75, "first_two": 0.25}
    generator = torch.Generator().manual_seed(0)
    drawn = Counter(patterns.draw(weights, generator) for _ in range(400))
    assert drawn["none"] == pytest.approx(300, abs=40)
    assert drawn.total() == drawn["none"] + drawn["first_two"]


@pytest.mark.parametrize("text", ["frist=1", "none=much", "none=-1", "none=0", ""])
def test_mistakes_are_named(text):
    with pytest.raises(InvalidInputError, match="pattern"):
        patterns.parse_patterns(text)


def test_a_loop_ends_where_it_began():
    assert patterns.there_and_back(8).tolist() == [0, 1, 2, 3, 3, 2, 1, 0]
    assert patterns.there_and_back(5).tolist() == [0, 1, 2, 1, 0]
