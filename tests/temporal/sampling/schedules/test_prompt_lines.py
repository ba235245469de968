"""The grammar of prompts: what is read as a place, and what is refused."""

import contextlib
import time

import pytest
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.sampling.schedules.prompt_lines import (
    names_places,
    parse_schedule,
    prompts_of_segments,
)
from video_ldm.temporal.sampling.schedules.quoted_schedule import is_quoted, parse_quoted

FPS = 8.0


def test_lines_are_read_in_the_order_of_frames():
    text = "16: a blue (square:1.2), red 3: edges,\n\n  0 :a red circle \n8:"
    assert parse_schedule(text, 17, FPS) == (
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
    assert parse_schedule(text, 8, FPS) == ((0, "a"), (3, "b"))


def test_ratios_and_numbers_in_a_prompt_begin_no_entry():
    text = "0: film still, 16:9, 35 mm, (a cat:1.2), 2 dogs"
    assert parse_schedule(text, 8, FPS) == ((0, "film still, 16:9, 35 mm, (a cat:1.2), 2 dogs"),)
    assert parse_schedule('"0": "one, 3: two"', 8, FPS) == ((0, "one, 3: two"),)


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
        parse_schedule(text, 8, FPS)
    assert time.process_time() - begin < 20  # a cube of it would take hours


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a red circle", "Line 1, 'a red circle', names no frame"),
        ("0: b\n\n-1: a", "Line 3, '-1: a', cannot be read: write a frame as 12:"),
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
        parse_schedule(text, 8, FPS)


def test_quotes_of_a_prompt_stay_where_its_frame_has_none():
    assert parse_schedule('0: "a" sign', 3, FPS)[0] == (0, '"a" sign')
    assert parse_schedule('0: "a"\n2: b', 3, FPS)[0] == (0, '"a"')
    assert parse_schedule('"0": "a"\n"2": "b"', 3, FPS)[0] == (0, "a")


@pytest.mark.parametrize(
    ("text", "frames"),
    [
        ("0: a\n20s: b\n40s: c", (0, 160, 320)),
        ("0s: a, 2.5s: b, 3 S: c", (0, 20, 24)),
        ('"0": "a", "1s": "b"', (0, 8)),
        ("1.06s: a\n9: b", (8, 9)),  # 8.48 frames
        ("007s: a", (56,)),
    ],
)
def test_seconds_are_the_nearest_frame(text, frames):
    assert tuple(frame for frame, _ in parse_schedule(text, 480, FPS)) == frames
    assert names_places(text) and (
        not is_quoted(text) or parse_quoted(text, 480, FPS) == ((0, "a"), (8, "b"))
    )


@pytest.mark.parametrize(
    "line",
    [
        *("16:9 photo", "0:1girl", "0:05: a", "-3: a", "1.5: a", "3sec: a", "3 seconds: a", "50%: a"),
        *("3; a", "3 = a", "frame 12: a", "'3': a", "3s;a", "~3s: a", "2min: a", ".5s: a", "3,5s: a"),
    ],
)
def test_what_looks_like_a_place_and_is_none_is_refused_with_its_line(line):
    assert names_places(f"a cat\n{line}")
    with pytest.raises(
        InvalidInputError, match=r"^Line 3, .* cannot be read: write a frame as 12: or a time"
    ):
        parse_schedule(f"0: a\n\n{line}", 480, FPS)


@pytest.mark.parametrize(
    "line", ["a cat", "2 dogs, 16:9", "3 cats: fluffy", "(1.2: a)", "1girl", ": a", "s: a"]
)
def test_words_name_no_place(line):
    assert not names_places(line)


def test_a_time_behind_the_film_is_refused_with_its_frame():
    with pytest.raises(
        InvalidInputError, match=r"^60s, which is frame 480, in line 2 is not in the clip: it has 480"
    ):
        parse_schedule("0: a\n60s: b", 480, FPS)
    with pytest.raises(InvalidInputError, match=r"^9{57}..., which is frame 480, in line 1"):
        parse_schedule("9" * 5000 + "s: a", 480, FPS)


def test_a_prompt_begins_with_the_first_segment_that_starts_there_or_later():
    firsts = (8, 14, 20, 26)
    assert prompts_of_segments(((0, "a"), (14, "b"), (21, "c")), firsts) == {0: "a", 1: "b", 3: "c"}
    assert prompts_of_segments(((9, "b"),), firsts) == {1: "b"}
    with pytest.raises(
        InvalidInputError, match=r"No segment would follow the prompt of frame 27: .* frame 26"
    ):
        prompts_of_segments(((0, "a"), (27, "b")), firsts)
    with pytest.raises(InvalidInputError, match=r"frames 0 and 8 would begin with .* starts at frame 8"):
        prompts_of_segments(((0, "a"), (8, "b")), firsts)
