"""Write a stack in another spelling: native, or that of any code that has motion modules.

No weight is changed.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from ..errors import InvalidInputError
from ..stack.stack import TemporalStack
from ..weights.files import WeightsFile, write_weights
from .animatediff import ORIGINAL
from .hotshot import HOTSHOT
from .image_parts import PARTS, image_part
from .motion_adapter import DIFFUSERS
from .motion_modules import FAMILY_KEY, WITHOUT_TABLES, MotionSpelling, base_of, file_keys, position_table
from .native import save_stack

NATIVE = "native"
SPELLINGS: Mapping[str, MotionSpelling] = {
    spelling.name.lower(): spelling for spelling in (ORIGINAL, DIFFUSERS, HOTSHOT)
}


def write(path: str | Path, stack: TemporalStack, spelling: str) -> None:
    """Save a stack as safetensors in one of the spellings, "native" or a key of `SPELLINGS`.

    Raises:
        InvalidInputError: the spelling has no names for these layers.
    """
    if spelling == NATIVE:
        save_stack(path, stack)
        return
    chosen = SPELLINGS[spelling]
    if stack.config.motion is None or stack.config.family not in _families(stack, chosen):
        raise InvalidInputError(
            f"The {chosen.name} spelling has no names for {stack.config.family} layers; write them as "
            f"{NATIVE}."
        )
    metadata = {"format": "pt", FAMILY_KEY: stack.config.family}
    write_weights(path, dict(spelled(stack, chosen)), metadata)


def _families(stack: TemporalStack, spelling: MotionSpelling) -> Collection[str]:
    part = PARTS.get(stack.config.image)
    if part is None:
        return spelling.known()
    return part.families.values() if spelling.name in part.spellings else ()


def as_family(file: WeightsFile, family: str) -> WeightsFile:
    """A file of motion modules whose keys fit several families, taken for one of them.

    Raises:
        InvalidInputError: not motion modules, or none of the families that they may be of.
    """
    spelling = next((spelling for spelling in SPELLINGS.values() if spelling.recognise(file)), None)
    if spelling is None:
        raise InvalidInputError(
            f"The family of {file.path.name} cannot be chosen: only motion modules in the spelling of "
            "AnimateDiff or of diffusers leave it open. Leave out --family."
        )
    keys = set(spelling.keys_of(file))
    base, _ = base_of(file.path.name, keys)
    middle = any(key.startswith("mid_block.") for key in keys)
    known = spelling.possible(base, middle, image_part(file.tensors))
    if family not in known:
        raise InvalidInputError(
            f"{file.path.name} cannot be {family!r}: motion modules with these keys are "
            f"{' or '.join(known)}. Choose one of them."
        )
    return replace(file, metadata={**file.metadata, FAMILY_KEY: family})


def spelled(stack: TemporalStack, spelling: MotionSpelling) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a file that holds a stack, in a spelling."""
    weights = stack.state_dict()
    first, tables = f"{spelling.norms[0]}.weight", spelling.tables
    if stack.config.family in WITHOUT_TABLES and spelling is ORIGINAL:
        tables = ()
    if stack.config.image is not None:
        yield from PARTS[stack.config.image].spelled(weights)
    for own, parts in file_keys(stack, spelling).items():
        weight = weights[own]
        yield from zip(parts, (part.clone() for part in weight.chunk(len(parts))), strict=True)
        if parts[0].endswith(first):  # once per module
            table = position_table(stack.config.max_frames, len(weight)).to(weight.dtype)
            yield from ((parts[0].removesuffix(first) + name, table.clone()) for name in tables)
