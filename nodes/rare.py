"""Inputs that most leave as they are."""

from __future__ import annotations

from .host import io


def rare(*inputs: io.Input) -> list[io.Input]:
    """Inputs that the page shows after Show Advanced.

    They are the last ones of their node, as saved graphs hold values by their place."""
    for given in inputs:
        given.extra_dict = {**given.extra_dict, "advanced": True}
    return list(inputs)
