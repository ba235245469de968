"""Patterns of known frames."""

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.sampling.known_frames import nearest_given, parse_indices, place, with_mean_colours


@pytest.mark.parametrize(
    ("pattern", "given", "num_frames", "expected"),
    [
        ("first", 1, 1, [(0, 0)]),
        ("first", 2, 5, [(0, 0), (1, 1)]),
        ("last", 2, 5, [(3, 0), (4, 1)]),
        ("both", 2, 3, [(0, 0), (2, 1)]),
        ("both", 4, 9, [(0, 0), (1, 1), (7, 2), (8, 3)]),
        ("every N", 3, 9, [(0, 0), (4, 1), (8, 2)]),
        ("loop", 1, 5, [(0, 0), (4, 0)]),
    ],
)
def test_patterns(pattern, given, num_frames, expected):
    assert list(place(pattern, given, num_frames)) == expected


def test_every_other_distance():
    assert list(place("every N", 3, 5, every=2)) == [(0, 0), (2, 1), (4, 2)]


def test_a_list_keeps_its_order_and_counts_from_the_end():
    assert place("indices", 3, 16, indices=" 5,0 , -1,") == ((5, 0), (0, 1), (15, 2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("middle", 1, 5), "Unknown pattern 'middle'; choose from first"),
        (("first", 0, 5), "connect images or latents"),
        (("first", 6, 5), "6 frames were given for a clip of 5"),
        (("both", 3, 5), "as many frames for the start as for the end"),
        (("loop", 2, 5), "takes one frame and a clip of at least 3"),
        (("loop", 1, 2), "for a clip of 2"),
        (("every N", 3, 8), "need a clip of 9 frames, but it has 8"),
        (("every N", 2, 8, 0), "N is 0"),
        (("indices", 2, 8, 4, "0"), "names 1 frames, but 2 were given"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        place(*arguments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0, 8", "Frame 8 is not in the clip: it has 8 frames, 0 to 7"),
        ("-9", "Frame -9 is not in the clip"),
        ("7, -1", "Frame 7 is listed twice"),
        ("0; 3", "'0; 3' is no frame number"),
        ("1.5", "is no frame number"),
        (" , ", "The list of frames is empty"),
    ],
)
def test_a_bad_list_is_refused(text, message):
    with pytest.raises(InvalidInputError, match=message):
        parse_indices(text, 8)


def test_nearest_is_the_published_rule_for_keyframes_four_apart():
    given = torch.arange(61) % 4 == 0
    assert (nearest_given(given)[0] // 4).tolist() == [(frame + 1) // 4 for frame in range(61)]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0], [0, 0, 0, 0, 0, 0]),
        ([5], [5, 5, 5, 5, 5, 5]),
        ([1, 3], [1, 1, 1, 3, 3, 3]),
        ([0, 5], [0, 0, 0, 5, 5, 5]),
        ([0, 4], [0, 0, 0, 4, 4, 4]),
    ],
)
def test_nearest_of_any_pattern(given, expected):
    mask = torch.zeros(6, dtype=torch.bool)
    mask[given] = True
    frames, distances = nearest_given(mask)
    assert frames.tolist() == expected
    assert distances.tolist() == [abs(frame - number) for number, frame in enumerate(expected)]


@pytest.mark.parametrize("given", [1, 3])
def test_held_colours_are_those_asked_for_and_shapes_stay(given):
    frames = torch.randn(3, 4, 5, 6) + torch.tensor([5.0, -2.0, 0.5]).reshape(3, 1, 1, 1)
    means = torch.randn(given, 4)
    held = with_mean_colours(frames, means)
    torch.testing.assert_close(held.mean((2, 3)), means.expand(3, 4))
    moved = held - frames
    torch.testing.assert_close(moved, moved[..., :1, :1].expand_as(moved))
