"""Clips played backwards, with captions that say so: exact further data for which way time runs.

A clip of something that moves left is, from its last frame to its first, a clip of the same that moves right.
Only clips whose caption names one of the given phrases are turned round: of another nobody knows what it
would show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from ...errors import InvalidInputError

EXAMPLE = "moving left=moving right, zooming in=zooming out"


def parse_reversed(text: str) -> dict[str, str]:
    """Phrases and their reverses, from a text such as "moving left=moving right, zooming in=zooming out".

    Raises InvalidInputError for an entry that is no pair, or a phrase named twice.
    """
    phrases: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        one, separator, other = (words.strip() for words in part.partition("="))
        if not separator or not one or not other or one == other:
            raise InvalidInputError(f"{part!r} is no pair of phrases; write for instance {EXAMPLE}.")
        if {one, other} & phrases.keys():
            raise InvalidInputError(f"{part!r} has a phrase that another pair has; name every phrase once.")
        phrases |= {one: other, other: one}
    return phrases


def reversed_caption(caption: str, phrases: Mapping[str, str]) -> str | None:
    """The caption of a clip played backwards; None where it names no phrase."""
    if not phrases:
        return None
    longest_first = sorted(phrases, key=len, reverse=True)
    pattern = re.compile("|".join(rf"\b{re.escape(phrase)}\b" for phrase in longest_first))
    told, count = pattern.subn(lambda found: phrases[found[0]], caption)
    return told if count else None


def reversed_captions(captions: Sequence[str], phrases: Mapping[str, str]) -> list[str]:
    """Captions of clips played backwards that are not among the captions yet."""
    told = (reversed_caption(caption, phrases) for caption in captions)
    return list(dict.fromkeys(caption for caption in told if caption is not None and caption not in captions))


def opposites(captions: Sequence[str], phrases: Mapping[str, str]) -> np.ndarray:
    """For each caption the place of its reversed one among them, -1 where it has none.

    Raises InvalidInputError where a reversed caption was never encoded.
    """
    places = {caption: place for place, caption in enumerate(captions)}
    rows = np.full(len(captions), -1)
    for place, caption in enumerate(captions):
        told = reversed_caption(caption, phrases)
        if told is not None and told not in places:
            raise InvalidInputError(
                f"The caption {told!r} of a clip played backwards is not in the clip cache; give the "
                "folder of videos the cache was made from."
            )
        if told is not None:
            rows[place] = places[told]
    return rows
