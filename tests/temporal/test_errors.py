"""Sentences that users meet stay short, whatever value they quote."""

from __future__ import annotations

import pickle

from video_ldm.temporal.errors import LONGEST, InvalidInputError


def test_a_long_value_is_shortened_and_the_advice_stays():
    said = str(InvalidInputError(f"There is no file {'9' * 5000!r} here. Pick another."))
    assert said.startswith("There is no file '999") and said.endswith("999' here. Pick another.")
    assert len(said) <= LONGEST


def test_a_sentence_is_left_as_it_is():
    error = InvalidInputError("x" * LONGEST)
    assert str(error) == "x" * LONGEST and str(pickle.loads(pickle.dumps(error))) == str(error)
