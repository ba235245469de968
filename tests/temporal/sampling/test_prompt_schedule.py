"""Prompt travel."""

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.sampling.prompt_schedule import (
    Weight,
    describe,
    frame_weights,
    parse_schedule,
    travel,
)


def test_lines_are_read_in_the_order_of_frames():
    text = "16: a blue (square:1.2), red 3: edges,\n\n  0 :a red circle \n8:"
    assert parse_schedule(text, 17) == (
        (0, "a red circle"),
        (8, ""),
        (16, "a blue (square:1.2), red 3: edges"),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a red circle", "'a red circle' names no frame"),
        ("-1: a", "'-1: a' names no frame"),
        ("0: a\n8: b", "Frame 8 is not in the clip: it has 8 frames, 0 to 7"),
        ("1: a\n01: b", "Frame 1 has two prompts"),
        (" \n", "schedule is empty"),
    ],
)
def test_a_bad_schedule_is_refused(text, message):
    with pytest.raises(InvalidInputError, match=message):
        parse_schedule(text, 8)


def test_weights_follow_a_straight_line():
    weights = frame_weights([1, 5, 7], 9)
    assert [part.weight for part in weights] == [0, 0, 0.25, 0.5, 0.75, 0, 0.5, 0, 0]
    assert [part.start for part in weights] == [0, 0, 0, 0, 0, 1, 1, 2, 2]
    assert [part.end for part in weights][2:7] == [1, 1, 1, 2, 2]


def test_a_held_prompt_lasts_until_the_next():
    assert [(part.start, part.weight) for part in frame_weights([0, 2], 4, hold=True)] == [
        (0, 0),
        (0, 0),
        (1, 0),
        (1, 0),
    ]


@pytest.mark.parametrize("num_frames", [1, 3, 5])
def test_one_prompt_is_the_same_everywhere(num_frames):
    text = torch.randn(1, 7, 5)
    assert torch.equal(travel([text], frame_weights([0], num_frames)), text.expand(num_frames, -1, -1))


@pytest.mark.parametrize("spherical", [False, True])
def test_keyframes_are_exact_and_the_middle_is_between(spherical):
    texts = [torch.randn(1, 7, 5), torch.randn(1, 7, 5)]
    made = travel(texts, frame_weights([0, 4], 5), spherical)
    assert torch.equal(made[0], texts[0][0]) and torch.equal(made[4], texts[1][0])
    if spherical:
        expected = (texts[0][0].norm(dim=-1) + texts[1][0].norm(dim=-1)) / 2
        torch.testing.assert_close(made[2].norm(dim=-1), expected)
    else:
        torch.testing.assert_close(made[1], 0.75 * texts[0][0] + 0.25 * texts[1][0])


def test_texts_of_different_lengths_and_pooled_text():
    made = travel([torch.ones(1, 2, 5), torch.zeros(1, 3, 5)], frame_weights([0, 2], 3))
    assert made.shape == (3, 6, 5) and made[1].unique().tolist() == [0.5]
    assert travel([torch.ones(1, 5), torch.zeros(1, 5)], frame_weights([0, 2], 3)).shape == (3, 5)


def test_the_preview_names_every_frame():
    keyframes = ((0, "cat"), (2, "dog"))
    assert (
        describe(keyframes, frame_weights([0, 2], 3))
        == "0: 1.00 'cat'\n1: 0.50 'cat' + 0.50 'dog'\n2: 1.00 'dog'"
    )
    assert frame_weights([0, 2], 3)[1] == Weight(0, 1, 0.5)
