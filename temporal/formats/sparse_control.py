"""SparseCtrl: a ControlNet with motion modules that sees a few frames of a clip (SparseCtrl, section 3).

The motion modules become a stack; the weights of the ControlNet itself stay under diffusers' names, which the
files have.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..errors import CheckpointFormatError
from ..layers.motion import MotionConfig
from ..stack.stack import StackConfig, TemporalStack
from ..weights.files import WeightsFile, assign_weights, read_weights
from . import bare, what_it_is
from .animatediff import ORIGINAL
from .facts import FACTS
from .keys import check_keys, joined
from .motion_adapter import DIFFUSERS
from .motion_modules import MotionSpelling, base_of, check_tables, file_keys
from .source import keys_line

FAMILY = "SparseCtrl"
SPELLINGS = tuple(
    replace(
        spelling, attentions=spelling.attentions[:1], norms=spelling.norms[:1], tables=spelling.tables[:1]
    )
    for spelling in (ORIGINAL, DIFFUSERS)  # the first is also one of the second's names
)
MAX_FRAMES = 32  # length of the position tables
EMBEDDING = "controlnet_cond_embedding"


@dataclass(frozen=True)
class SparseControlFile:
    """Contents of a file of SparseCtrl.

    `kind`: it sees latents of frames ("rgb"), or pixels of drawings ("scribble").
    """

    kind: Literal["rgb", "scribble"]
    stack: TemporalStack
    weights: Mapping[str, Tensor]  # of the ControlNet, by diffusers' names
    report: str


def open_sparse_control(path: str | Path, ops: Any, dtype: torch.dtype | None = None) -> SparseControlFile:
    """Read SparseCtrl in the spelling of its authors or of diffusers; `dtype` defaults to the file's.

    Raises:
        CheckpointFormatError: another file (the message says what it is and where it belongs), or a damaged
            one.
    """
    read = read_weights(path)
    file = bare(read)
    kind = control_kind(file)
    if kind is None:
        raise CheckpointFormatError(f"{file.path.name} is not SparseCtrl: {what_it_is(read)}")
    spelling = next(spelling for spelling in SPELLINGS if spelling.keys_of(file))
    own = set(spelling.keys_of(file))
    weights = {key: tensor for key, tensor in file.tensors.items() if key not in own}
    stack = _stack(file, spelling, own, ops, dtype)
    count = sum(tensor.numel() for tensor in weights.values()) + stack.weight_count
    tables = sum(key.endswith(spelling.tables) for key in own)
    keys = keys_line(len(file.tensors) - tables, {"position tables (computed anew)": tables})
    report = "\n".join([*_report(kind, spelling.name, count, stack.config.base), keys])
    return SparseControlFile(kind, stack, weights, report)


def control_kind(file: WeightsFile) -> Literal["rgb", "scribble"] | None:
    """Kind of SparseCtrl in a file; None for other files."""
    if any(spelling.keys_of(file) for spelling in SPELLINGS):
        if f"{EMBEDDING}.weight" in file.tensors:
            return "rgb"
        if f"{EMBEDDING}.conv_in.weight" in file.tensors:
            return "scribble"
    return None


def _stack(
    file: WeightsFile, spelling: MotionSpelling, own: set[str], ops: Any, dtype: torch.dtype | None
) -> TemporalStack:
    base, unet = base_of(file.path.name, own)
    motion = MotionConfig(middle=False, clip_norm=False, clip_norm_image=False, control=True)
    config = StackConfig(unet, base, MAX_FRAMES, False, False, FAMILY, motion=motion)
    stack, name = TemporalStack(config, ops=ops, device="meta"), file.path.name
    keys = file_keys(stack, spelling)
    wanted = {key for parts in keys.values() for key in parts}
    tables = {key for key in own if key.endswith(spelling.tables)}
    check_keys(name, FAMILY, wanted - own, own - wanted - tables)
    check_tables(name, file.tensors, tables)
    assign_weights(stack, dict(joined(name, file.tensors, keys, stack)), name, stack.shapes, dtype)
    return stack


def _report(kind: str, spelling: str, count: int, base: str) -> Iterator[str]:
    facts, what = FACTS[FAMILY], {"rgb": "RGB frames", "scribble": "scribbles"}[kind]
    yield f"{FAMILY} for {what} ({spelling} file), {count / 1e6:.1f} M weights, for {base}"
    yield f"Clip: {facts.trained_frames} frames in training, at most {MAX_FRAMES} frames"
    yield f"Sampling: {facts.advice}"
    yield f"Licence: {facts.licence}"
