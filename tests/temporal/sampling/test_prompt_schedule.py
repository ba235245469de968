"""Prompt travel."""

import time

import pytest
import torch
from video_ldm.temporal.sampling.prompt_schedule import (
    Weight,
    curves_of,
    frame_weights,
    travel,
    weights_text,
)
from video_ldm.temporal.sampling.schedules.prompt_lines import parse_schedule


@pytest.mark.slow
def test_many_keyframes_and_frames_are_quick():
    begin = time.process_time()
    keyframes = parse_schedule("\n".join(f"{2 * frame}: a" for frame in range(20_000)), 40_000, 8.0)
    weights = frame_weights([frame for frame, _ in keyframes], 40_000)
    assert weights[39_997] == Weight(19_998, 19_999, 0.5)
    assert len(weights_text(keyframes, weights).splitlines()) <= 501
    assert time.process_time() - begin < 40


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
        weights_text(keyframes, frame_weights([0, 2], 3))
        == "0: 1.00 'cat'\n1: 0.50 'cat' + 0.50 'dog'\n2: 1.00 'dog'"
    )
    assert frame_weights([0, 2], 3)[1] == Weight(0, 1, 0.5)
    long = weights_text(((0, "x" * 1000),), frame_weights([0], 2000))
    assert len(long) < 60_000 and long.splitlines()[-1] == "and so on, to frame 1999"


def test_the_curve_of_a_keyframe_rises_to_it_and_falls_behind():
    curves = curves_of(frame_weights([0, 2, 4], 5), 3)
    assert curves == [[1, 0.5, 0, 0, 0], [0, 0.5, 1, 0.5, 0], [0, 0, 0, 0.5, 1]]
