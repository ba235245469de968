"""Places for low-rank changes in a stack of temporal layers, with their names in files."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ..errors import InvalidInputError
from ..stack.stack import TemporalStack
from . import modelscope
from .animatediff import ORIGINAL
from .motion_adapter import DIFFUSERS
from .motion_modules import file_keys

Target = str | tuple[str, tuple[int, int, int]]  # our weight, or that and (axis, start, length)
OWN = "Video LDM"  # the spelling of stacks that no other trainer of LoRAs knows: our own names
# words for kinds of layers, and what the names of their weights have in them
KINDS: Mapping[str, str] = {
    "attention": r"\.(?:attentions\.\d+|frame_attention|attention)\.(?:qkv|out)\.weight$",
    "text": r"\.text_attention\.(?:q|kv|out)\.weight$",
    "feed_forward": r"\.(?:ff|ff_in|ff_out)\.proj_(?:in|out)\.weight$",
    "conv": r"\.(?:conv_in|conv_out|convs\.\d+)\.weight$",
    "projections": r"^layers\.[^.]+\.proj_(?:in|out)\.weight$",
}


@dataclass(frozen=True)
class LoraPlace:
    """A weight, or rows of one, and the name of its layer in each spelling of files."""

    target: Target
    names: Mapping[str, str]

    @property
    def weight(self) -> str:
        """Our name of the weight."""
        return self.target if isinstance(self.target, str) else self.target[0]

    @property
    def rows(self) -> tuple[int, int] | None:
        """First row and count of the rows that change; None: all."""
        return None if isinstance(self.target, str) else self.target[1][1:]


def takes_published_loras(stack: TemporalStack) -> bool:
    """True if a stack has layers that others publish motion LoRAs for."""
    return stack.config.motion is not None or stack.config.family == modelscope.NAME


def lora_places(stack: TemporalStack) -> list[LoraPlace]:
    """Every weight of the temporal layers that is a matrix or a kernel."""
    names: dict[Target, dict[str, str]] = {}
    for spelling, keys in _spelled(stack).items():
        for own, parts in keys.items():
            rows = stack.shapes[own][0] // len(parts)
            for index, part in enumerate(parts):
                if part.endswith(".weight") and len(stack.shapes[own]) > 1:
                    target = own if len(parts) == 1 else (own, (0, index * rows, rows))
                    names.setdefault(target, {})[spelling] = part.removesuffix(".weight")
    return [LoraPlace(target, spelled) for target, spelled in names.items()]


def chosen_places(stack: TemporalStack, words: tuple[str, ...]) -> list[LoraPlace]:
    """The places that words name: kinds of layers, or parts of names in files.

    Raises InvalidInputError for a word that names none.
    """
    found: dict[Target, LoraPlace] = {}
    for word in words:
        named = list(_named(stack, word))
        if not named:
            raise InvalidInputError(
                f"No layer of {stack.config.family} is called {word!r}; name kinds of layers "
                f"({', '.join(kinds_of(stack))}), or a part of a layer's name such as {example(stack)}."
            )
        found |= {place.target: place for place in named}
    return list(found.values())


def kinds_of(stack: TemporalStack) -> list[str]:
    """Words for the kinds of layers that a stack has."""
    return [kind for kind in KINDS if any(_named(stack, kind))]


def usual_kinds(stack: TemporalStack) -> tuple[str, ...]:
    """Kinds of layers that a LoRA changes unless told: attention over frames, and our own convolutions."""
    wanted = ("attention",) if takes_published_loras(stack) else ("attention", "conv")
    return tuple(kind for kind in wanted if kind in kinds_of(stack))


def example(stack: TemporalStack) -> str:
    """A part of a layer's name in files."""
    return "attn1.to_q" if takes_published_loras(stack) else "output_blocks"


def check_single_frames(places: Iterable[LoraPlace]) -> None:
    """Refuse places that learn nothing from a clip of one frame.

    These are queries and keys of attention over frames, which choose between frames. Raises
    InvalidInputError.
    """
    if all(_chooses_frames(place) for place in places):
        raise InvalidInputError(
            "images is above 0, but the weights to change only choose between frames (to_q, to_k), of which "
            "a picture has one; set images to 0, or change others too, e.g. attention."
        )


def _chooses_frames(place: LoraPlace) -> bool:
    ends = {name.rpartition(".")[2] for name in place.names.values()}
    return re.search(KINDS["attention"], place.weight) is not None and ends <= {"to_q", "to_k"}


def _named(stack: TemporalStack, word: str) -> Iterator[LoraPlace]:
    for place in lora_places(stack):
        if word in KINDS:
            named = re.search(KINDS[word], place.weight) is not None
        else:
            known = any(re.search(pattern, place.weight) for pattern in KINDS.values())
            named = known and any(word in name for name in place.names.values())
        if named:
            yield place


def _spelled(stack: TemporalStack) -> dict[str, dict[str, tuple[str, ...]]]:
    """By spelling: our key of every weight, and the keys in files of what is stacked into it."""
    if stack.config.motion is not None:
        return {spelling.name: file_keys(stack, spelling) for spelling in (ORIGINAL, DIFFUSERS)}
    if stack.config.family == modelscope.NAME:
        families = (modelscope.ORIGINAL, modelscope.DIFFUSERS)
        return {family.spelling.name: family.temporal_keys(stack) for family in families}
    return {OWN: {key: (key,) for key in stack.shapes if key.startswith("layers.")}}
