"""Motion LoRAs as files: in AnimateDiff's, diffusers' and kohya's spelling.

Shapes: r rank, i and o channels into and out of a changed layer, k taps of a kernel.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import InvalidInputError
from ..stack.stack import TemporalStack
from ..weights.files import write_weights
from .animatediff import ORIGINAL
from .lora_names import OWN, LoraPlace, takes_published_loras
from .motion_adapter import DIFFUSERS

SPELLINGS = ANIMATEDIFF, PEFT, KOHYA = ("animatediff", "diffusers", "kohya")
FLAT, UNET = "lora_unet_", "unet."
NOTES = "video_ldm.motion_lora"  # in the metadata: what we know of the LoRA, as JSON
# how the layers of AnimateDiff's attention name their factors
PROCESSORS = {
    ".to_q": ".processor.to_q_lora",
    ".to_k": ".processor.to_k_lora",
    ".to_v": ".processor.to_v_lora",
    ".to_out.0": ".processor.to_out_lora",
}


@dataclass(frozen=True)
class LowRankChange:
    """A change of one place: `scale * up @ down`, with up (o r) and down (r i) or (r i k k)."""

    place: LoraPlace
    up: Tensor
    down: Tensor
    scale: float = 1.0


def usual_spelling(stack: TemporalStack) -> str:
    """The spelling that most other programs read for layers of this kind."""
    return ANIMATEDIFF if stack.config.motion is not None else KOHYA


def check_spelling(spelling: str, stack: TemporalStack) -> None:
    """Refuse a spelling that has no names for the layers; raises InvalidInputError."""
    if spelling not in SPELLINGS:
        raise InvalidInputError(f"The spelling is {spelling!r}; choose from {', '.join(SPELLINGS)}.")
    if spelling == ANIMATEDIFF and stack.config.motion is None:
        raise InvalidInputError(
            f"AnimateDiff's spelling has no names for the layers of {stack.config.family}; choose "
            f"{PEFT} or {KOHYA}."
        )


def write_motion_lora(
    path: str | Path,
    changes: Sequence[LowRankChange],
    stack: TemporalStack,
    spelling: str,
    notes: Mapping[str, object],
) -> None:
    """Write a LoRA as it was trained, in float32; `notes` say what it was made of, for Load Motion LoRA.

    Raises InvalidInputError for a spelling without names for the layers, OutputError when the disk does not
    take it.
    """
    check_spelling(spelling, stack)
    tensors = {}
    for change in changes:
        for key, tensor in _tensors(change, stack, spelling):
            tensors[key] = tensor.detach().cpu()
    write_weights(path, tensors, {NOTES: json.dumps(dict(notes))})


def read_notes(metadata: Mapping[str, str]) -> dict[str, object]:
    """Notes in a file of ours; empty for others, and for notes that cannot be read."""
    try:
        notes = json.loads(metadata.get(NOTES, "{}"))
    except (ValueError, RecursionError):
        return {}
    return notes if isinstance(notes, dict) else {}


def _tensors(change: LowRankChange, stack: TemporalStack, spelling: str) -> Iterator[tuple[str, Tensor]]:
    """Keys and tensors of one change.

    The scale is a number of its own in kohya's spelling; programs that read the other two know none, so there
    it is part of the factor.
    """
    up, down = with_points(change.up, change.down, takes_published_loras(stack))
    rank = len(down)
    if spelling == KOHYA:
        names = change.place.names
        module = FLAT + names.get(ORIGINAL.name, names.get(OWN, "")).replace(".", "_")
        yield f"{module}.lora_up.weight", up
        yield f"{module}.lora_down.weight", down
        yield f"{module}.alpha", torch.tensor(change.scale * rank)
        return
    up = up * change.scale
    if spelling == ANIMATEDIFF:
        module = _with_processor(change.place.names[ORIGINAL.name])
        yield f"{module}.up.weight", up
        yield f"{module}.down.weight", down
        return
    module = change.place.names.get(DIFFUSERS.name)
    module = change.place.names[OWN] if module is None else UNET + module
    yield f"{module}.lora_B.weight", up
    yield f"{module}.lora_A.weight", down


def with_points(up: Tensor, down: Tensor, volume: bool) -> tuple[Tensor, Tensor]:
    """The factors of a kernel as convolutions, in a volume where the files of the family have volumes."""
    if down.ndim == 2:
        return up, down
    down = down[..., None] if volume else down
    return up.reshape(*up.shape[:2], *(1,) * (down.ndim - 2)), down


def _with_processor(module: str) -> str:
    for end, processor in PROCESSORS.items():
        if module.endswith(end):
            return module.removesuffix(end) + processor
    return f"{module}.lora"
