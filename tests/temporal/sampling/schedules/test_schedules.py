"""Numbers and prompts as other packs write them, and sums in which nothing but arithmetic runs."""

from __future__ import annotations

import math
import time

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.sampling.initial_noise import (
    FILTERS,
    LowPass,
    NoiseSettings,
    initial_noise,
    next_round,
)
from video_ldm.temporal.sampling.places import at_layer, at_places, over_frames, product
from video_ldm.temporal.sampling.prompt_schedule import frame_weights
from video_ldm.temporal.sampling.schedules.amount import Amount, numbers_of
from video_ldm.temporal.sampling.schedules.expressions import evaluate
from video_ldm.temporal.sampling.schedules.places_in_time import Keyed, filled
from video_ldm.temporal.sampling.schedules.quoted_schedule import (
    is_quoted,
    parse_quoted,
    texts_at_frames,
    with_texts,
)
from video_ldm.temporal.sampling.schedules.value_schedule import parse_values


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0: 1, 4: 2", [1, 1.25, 1.5, 1.75, 2]),
        ("0:(1.0), 4:(2.0)", [1, 1.25, 1.5, 1.75, 2]),
        ('"0": 1, "-1": 2', [1, 1.25, 1.5, 1.75, 2]),
        ("0 = 1.0, 1.0 = 2", [1, 1.25, 1.5, 1.75, 2]),
        ('{"0:": 3, "2": 5}', [3, 3, 5, 5, 5]),
        ("0:2 = 3, 3 = 6", [3, 3, 4.5, 6, 6]),
        ("0:(t*2)", [0, 2, 4, 6, 8]),
        ("2: 7", [7, 7, 7, 7, 7]),
        ("0: 1\n8: 3", [1, 1.25, 1.5, 1.75, 2]),
    ],
)
def test_values_by_frame(text, numbers):
    assert parse_values(text, 5) == pytest.approx(numbers)


@pytest.mark.parametrize(
    "text", ["", "a cat", "0: cat", "0: 1, -9: 2", "0: __import__('os')", "0: 9**9**9", "x: 1"]
)
def test_what_gives_no_numbers_is_refused(text):
    with pytest.raises(InvalidInputError):
        parse_values(text, 5)


def test_sums_are_arithmetic_alone():
    assert evaluate("1 + sin(pi / 2) * where(t > 3, 2, 4)", {"t": 4}) == pytest.approx(3)
    for text in (
        "().__class__",
        "open('x')",
        "[1][0]",
        "'a' * 9",
        "t.real",
        "(lambda: 1)()",
        "1 if t else 2",
        "((((",
        "1/0",
    ):
        with pytest.raises(InvalidInputError, match="no number"):
            evaluate(text, {"t": 1})


def test_prompts_of_fizznodes_and_of_animatediff_evolved():
    text = '"0" :"a, red",\n"4": "b"'
    assert is_quoted(text) and not is_quoted("0: a") and not is_quoted('"a": b')
    assert parse_quoted(text, 3, 8.0) == ((0, "a, red"), (4, "b"))  # the second one leads beyond the end
    assert parse_quoted('0: = "a"', 3, 8.0)[0] == (0, "a")
    assert parse_quoted('{"0": "a"}', 3, 8.0) == parse_quoted('"0": "a"', 3, 8.0)
    assert parse_quoted('"0:": "a", "0.5": "b"', 9, 8.0) == ((0, "a"), (3, "a"), (4, "b"))
    with pytest.raises(InvalidInputError, match="cannot be read from"):
        parse_quoted('"0": "a", 4 b', 9, 8.0)
    began = time.process_time()
    with pytest.raises(InvalidInputError):
        parse_quoted('"0": "a"' + '"1" ' * 20000, 9, 8.0)
    assert time.process_time() - began < 10  # a square of it would take minutes


def test_texts_around_a_prompt_and_what_is_not_to_be_seen():
    assert with_texts("a --neg b", "good,", ", sharp --neg blur") == ("good, a, sharp", "b, blur")
    assert with_texts(" a ", "", "") == ("a", "")


def test_numbers_in_prompts_differ_from_frame_to_frame():
    weights = frame_weights([0, 2], 3)
    texts, parts = texts_at_frames(["(a:`pw_a`)", "b"], weights, {"pw_a": [0.5, 1.0]})
    assert texts == ["(a:0.5)", "b", "(a:1)"]
    assert [(texts[p.start], texts[p.end], p.weight) for p in parts][1] == ("(a:1)", "b", 0.5)
    assert texts_at_frames(["(a:`t/max_f`)"], frame_weights([0], 3), {})[0] == ["(a:0)", "(a:0.5)", "(a:1)"]


def test_one_number_and_a_list_are_tuples():
    assert numbers_of(3) == (3.0,) and numbers_of([1, 2.5]) == numbers_of((1, 2.5)) == (1.0, 2.5)


def test_amounts_by_frame_and_place():
    mask = torch.zeros(2, 4, 4)
    mask[1, :2] = 1
    amount = Amount((2.0, 4.0), mask, outside=1.0).of([0, 1, 5])
    assert amount.shape == (3, 4, 4)
    assert (
        amount[0].eq(1).all()
        and amount[1, 0, 0] == 4
        and amount[1, 3, 3] == 1
        and torch.equal(amount[2], amount[1])
    )
    assert product([0.5, amount], 4, 4)[1, 0, 0] == 2 and product([2.0, 3.0], 4, 4) == 6
    by_frame = Amount((2.0, 4.0)).of([0, 1, 5])
    assert by_frame.flatten().tolist() == [2, 4, 4] and product([by_frame, 3.0], 4, 4).shape == (3, 1, 1)
    assert Amount((2.0,)).of([0, 1]) == 2.0


def test_a_held_value_ends_before_the_next_frame_and_each_frame_has_one():
    held = (Keyed(0, "a", hold=True), Keyed(1, "b", hold=True), Keyed(4, "c"))
    assert filled(held) == ((0, "a"), (1, "b"), (3, "b"), (4, "c"))


def test_places_of_a_layer_are_those_of_the_latent_made_smaller():
    values = torch.arange(2 * 5 * 7, dtype=torch.float32).reshape(2, 5, 7)
    hidden = torch.zeros(2, 3, 3, 4)  # halved once, rounded up
    assert at_layer(values, hidden).shape == (2, 1, 3, 4)
    places = at_places(values, 12)
    assert torch.equal(places, at_layer(values, hidden)[:, 0].flatten(1))
    assert torch.equal(at_layer(values, torch.zeros(2, 12, 8)), places[:, :, None])
    assert torch.equal(at_layer(values, torch.zeros(2, 8)), values.mean(dim=(1, 2))[:, None])
    sides = over_frames(values.repeat(2, 1, 1), torch.zeros(2 * 12, 2, 8))
    assert sides.shape == (24, 2, 1) and torch.equal(sides[:12, :, 0], places.T)


@pytest.mark.parametrize("kind", FILTERS)
def test_filters_are_what_their_formula_says(kind):
    """One frequency after the other, as FreeInit writes them (section 4.2)."""
    low = LowPass(kind, 0.3, 0.6, 2)
    mask = low.mask(4, 6, 8)[:, 0]
    for t in range(4):
        for h in range(6):
            for w in range(8):
                square = (0.3 / 0.6 * (2 * t / 4 - 1)) ** 2 + (2 * h / 6 - 1) ** 2 + (2 * w / 8 - 1) ** 2
                wanted = {
                    "gaussian": math.exp(-square / (2 * 0.3**2)),
                    "butterworth": 1 / (1 + (square / 0.3**2) ** 2),
                    "ideal": float(square <= 0.6),
                    "box": float(t in (1, 2) and h in (2, 3) and w in (3, 4)),
                }[kind]
                assert mask[t, h, w] == pytest.approx(wanted, abs=1e-6)


def test_a_round_keeps_all_or_nothing_at_the_ends():
    made, noise, fresh = torch.randn(3, 4, 2, 6, 6)
    for share in (LowPass(space=0.0), LowPass(time=0.0)):
        torch.testing.assert_close(next_round(made, noise, fresh, 10.0, share), fresh)
    for share in (LowPass(space=1.0), LowPass(time=1.0)):
        assert share.mask(4, 6, 6).max() == 1  # of what stays the same
    everything = next_round(made, noise, fresh, 10.0, LowPass("ideal", 2.0, 2.0))
    torch.testing.assert_close(everything, (made + 10 * noise) / math.sqrt(101), rtol=1e-4, atol=1e-4)


def test_kinds_of_noise():
    shape = torch.Size((7, 2, 3, 3))
    plain = initial_noise(shape, 5, NoiseSettings(), (4, 2))
    assert torch.equal(plain, torch.randn(shape, generator=torch.Generator().manual_seed(5)))
    assert not initial_noise(shape, 5, NoiseSettings("empty"), None).any()
    constant = initial_noise(shape, 5, NoiseSettings("constant"), None)
    assert torch.equal(constant[0], constant[6])
    assert torch.equal(initial_noise(shape, 2**64 + 5, NoiseSettings(), None), plain)  # seeds go round
    assert torch.equal(initial_noise(shape, 5, NoiseSettings("repeated_context"), (4, 2))[4:], plain[:3])
    free = initial_noise(shape, 5, NoiseSettings("FreeNoise"), (4, 2))
    assert torch.equal(free[:4], plain[:4])
    assert {tuple(frame.flatten().tolist()) for frame in free} == {
        tuple(f.flatten().tolist()) for f in plain[:4]
    }
    own = initial_noise(shape, 5, NoiseSettings(seed_per_frame=True, frame_offset=2), None)
    assert torch.equal(own[1:2], torch.randn((1, 2, 3, 3), generator=torch.Generator().manual_seed(8)))


@pytest.mark.parametrize("offset", [0, 2])
def test_constant_noise_is_one_frame_of_the_default_noise(offset):
    shape = torch.Size((5, 2, 4, 4))  # of 32 numbers a frame, as torch draws 16 together
    constant = initial_noise(shape, 5, NoiseSettings("constant", frame_offset=offset), None)
    assert torch.equal(constant, initial_noise(shape, 5, NoiseSettings(), None)[[offset] * 5])
