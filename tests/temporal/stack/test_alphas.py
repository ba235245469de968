"""Alphas by place and resolution, as text."""

import pytest
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.sampling.clip import Clip
from video_ldm.temporal.stack.alphas import EXAMPLE, parse_alphas


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        (EXAMPLE, {"output.0": 1.0, "input.2": 0.5}),
        ("output = 0.25\n\n input.1 : 0 ,", {"output": 0.25, "input.1": 0.0}),
        ("3: .5", {"input.3": 0.5, "middle.3": 0.5, "output.3": 0.5}),
    ],
)
def test_what_an_artist_writes(text, expected):
    assert parse_alphas(text, 4) == expected


def test_the_resolution_counts_more_than_the_section():
    clip = Clip(5, alphas=parse_alphas("output: 0.2, output.1: 0.7", 4))
    assert [clip.alpha("output", level) for level in (0, 1)] == [0.2, 0.7]
    assert clip.alpha("input", 1) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("up.0: 1", r"'up\.0: 1' names no place of the UNet; write a section \(input, middle, output\)"),
        (": 1", "names no place"),
        ("output.4: 1", r"names no resolution of the UNet, which has 0 \(the finest\) to 3"),
        ("output.: 1", "names no resolution"),
        ("output.x: 1", "names no resolution"),
        ("7: 1", "names no resolution"),
        ("output.0", "'output.0' sets no alpha"),
        ("output: 2", "sets no alpha; write a number from 0"),
        ("output: nan", "sets no alpha"),
    ],
)
def test_what_is_none_is_refused(text, message):
    with pytest.raises(InvalidInputError, match=message):
        parse_alphas(text, 4)
