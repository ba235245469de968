"""Alpha by place and resolution of the UNet, as an artist writes it."""

import re
from collections.abc import Iterator

from ..errors import InvalidInputError
from ..sampling.clip import SECTIONS

EXAMPLE = "output.0: 1, input.2: 0.5"


def parse_alphas(text: str, levels: int) -> dict[str, float]:
    """Alphas for `Clip.alphas` from a text such as "output.0: 1, 2: 0.5".

    Entries stand on lines or have commas between them.

    A place is a section, a section and a resolution level (0 is the finest), or a level alone for all
    sections.

    Raises:
        InvalidInputError: an unknown section, a level that the UNet does not have, something that is no
            number from 0 to 1.
    """
    alphas: dict[str, float] = {}
    for part in filter(None, (part.strip() for part in re.split(r"[,\n]", text))):
        place, _, number = part.replace("=", ":").partition(":")
        alphas |= {key: _alpha(part, number) for key in _places(part, place.strip(), levels)}
    return alphas


def _places(part: str, place: str, levels: int) -> Iterator[str]:
    section, _, level = ("", "", place) if place.isdigit() else place.partition(".")
    if (section and section not in SECTIONS) or not (section or level):
        raise InvalidInputError(
            f"{part!r} names no place of the UNet; write a section ({', '.join(SECTIONS)}), a section and "
            f"a resolution, or a resolution, such as {EXAMPLE}."
        )
    if "." in place or not section:
        if not level.isdigit() or int(level) >= levels:
            raise InvalidInputError(
                f"{part!r} names no resolution of the UNet, which has 0 (the finest) to {levels - 1}; "
                f"write for instance {EXAMPLE}."
            )
        yield from (f"{name}.{int(level)}" for name in ([section] if section else SECTIONS))
    else:
        yield section


def _alpha(part: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise InvalidInputError(
            f"{part!r} sets no alpha; write a number from 0 (only the temporal layers) to 1 (only the "
            f"image model), such as {EXAMPLE}."
        )
    return value
