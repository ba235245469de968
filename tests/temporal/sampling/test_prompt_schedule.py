"""Prompt travel."""

import contextlib
import time

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.sampling.prompt_schedule import (
    Weight,
    curves_of,
    frame_weights,
    parse_schedule,
    travel,
    weights_text,
)


def test_lines_are_read_in_the_order_of_frames():
    text = "16: a blue (square:1.2), red 3: edges,\n\n  0 :a red circle \n8:"
    assert parse_schedule(text, 17) == (
        (0, "a red circle"),
        (8, ""),
        (16, "a blue (square:1.2), red 3: edges"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "0: a, 3: b",
        "0: a ,3 : b,",
        '"0": "a",\n"3": "b"',
        '"0": "a", "3" : "b"',
        "0\uff1a a\uff0c 3\uff1ab",
        "3: b\n\n0:a",
    ],
)
def test_entries_on_one_line_and_in_quotes(text):
    assert parse_schedule(text, 8) == ((0, "a"), (3, "b"))


def test_ratios_and_numbers_in_a_prompt_begin_no_entry():
    text = "0: film still, 16:9, 35 mm, (a cat:1.2), 2 dogs"
    assert parse_schedule(text, 8) == ((0, "film still, 16:9, 35 mm, (a cat:1.2), 2 dogs"),)
    assert parse_schedule('"0": "one, 3: two"', 8) == ((0, "one, 3: two"),)


@pytest.mark.parametrize(
    "text",
    [
        "0: a" + " " * 200_000 + "b",
        "0: " + ", " * 100_000,
        "0" * 200_000 + ": a",
        "0" + " " * 200_000,
        '"' * 200_000,
        "0: a" + ", 1 " * 50_000,
        "0: a," + " " * 100_000 + "1" * 100_000,
    ],
    ids=lambda text: repr(text[:8]),
)
def test_time_grows_with_the_text_and_no_faster(text):
    begin = time.process_time()
    with contextlib.suppress(InvalidInputError):
        parse_schedule(text, 8)
    assert time.process_time() - begin < 20  # a cube of it would take hours


def test_many_keyframes_and_frames_are_quick():
    begin = time.process_time()
    keyframes = parse_schedule("\n".join(f"{2 * frame}: a" for frame in range(20_000)), 40_000)
    weights = frame_weights([frame for frame, _ in keyframes], 40_000)
    assert weights[39_997] == Weight(19_998, 19_999, 0.5)
    assert len(weights_text(keyframes, weights).splitlines()) <= 501
    assert time.process_time() - begin < 40


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a red circle", "Line 1, 'a red circle', names no frame"),
        ("0: b\n\n-1: a", "Line 3, '-1: a', names no frame"),
        ("0: a\n8: b", "Frame 8 in line 2 is not in the clip: it has 8 frames, 0 to 7"),
        ("0: a, 8: b", "Frame 8 in line 1 is not in the clip"),
        ("1: a\n01: b", "Frame 1 has two prompts, in lines 1 and 2;"),
        ("9" * 5000 + ": a", "^Frame 9{57}... in line 1 is not in the clip"),
        ("x" * 5000, "^Line 1, 'x{57}...', names no frame"),
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
        weights_text(keyframes, frame_weights([0, 2], 3))
        == "0: 1.00 'cat'\n1: 0.50 'cat' + 0.50 'dog'\n2: 1.00 'dog'"
    )
    assert frame_weights([0, 2], 3)[1] == Weight(0, 1, 0.5)
    long = weights_text(((0, "x" * 1000),), frame_weights([0], 2000))
    assert len(long) < 60_000 and long.splitlines()[-1] == "and so on, to frame 1999"


def test_quotes_of_a_prompt_stay_where_its_frame_has_none():
    assert parse_schedule('0: "a" sign', 3)[0] == (0, '"a" sign')
    assert parse_schedule('0: "a"\n2: b', 3)[0] == (0, '"a"')
    assert parse_schedule('"0": "a"\n"2": "b"', 3)[0] == (0, "a")


def test_the_curve_of_a_keyframe_rises_to_it_and_falls_behind():
    curves = curves_of(frame_weights([0, 2, 4], 5), 3)
    assert curves == [[1, 0.5, 0, 0, 0], [0, 0.5, 1, 0.5, 0], [0, 0, 0, 0.5, 1]]
