"""Motion LoRA and SparseCtrl in the other of the two spellings that both have.

AnimateDiff's or diffusers'.
"""

from collections.abc import Iterator, Mapping

from torch import Tensor

from ..errors import CheckpointFormatError
from ..layers.motion import MotionConfig
from ..stack.stack import StackConfig, TemporalStack
from ..weights.files import WeightsFile
from . import modelscope, motion_modules, sparse_control
from .animatediff import ORIGINAL
from .lora_writing import FLAT, UNET
from .motion_adapter import DIFFUSERS
from .motion_lora import MotionLora, read_motion_lora
from .motion_modules import MotionSpelling
from .other_files import is_list

ANIMATEDIFF = "motion_modules"
TEMPORAL = (ANIMATEDIFF, "temp_attentions", "transformer_in")  # in names of layers that motion LoRAs change
SPELLINGS = {spelling.name: spelling for spelling in (ORIGINAL, DIFFUSERS)}
MAX_FRAMES = 32  # of modules that a LoRA is read against, where it does not matter


def is_temporal_lora(tensors: Mapping[str, Tensor]) -> bool:
    """True if a file holds changes of temporal layers."""
    return is_list(tensors) or any("lora" in key and any(part in key for part in TEMPORAL) for key in tensors)


def changes_of(file: WeightsFile) -> tuple[MotionLora, str]:
    """Changes that a motion LoRA makes, and the model that it is for.

    Raises:
        CheckpointFormatError: it fits no network that motion LoRAs are made for.
    """
    errors = []
    for model, stack in _networks(file.tensors):
        try:
            return read_motion_lora(file, stack), model
        except CheckpointFormatError as error:
            errors.append(error)
    raise errors[0]


def _networks(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, TemporalStack]]:
    if not any(ANIMATEDIFF in key for key in tensors):
        yield modelscope.NAME, TemporalStack(modelscope.DIFFUSERS.stack_config(), device="meta")
        return
    motion = MotionConfig(middle=True, clip_norm=False, clip_norm_image=False)
    for base, unet in motion_modules.BASES.values():
        config = StackConfig(unet, base, MAX_FRAMES, False, False, family="AnimateDiff", motion=motion)
        yield f"AnimateDiff layers of {base}", TemporalStack(config, device="meta")


def lora_spellings(tensors: Mapping[str, Tensor]) -> tuple[str, tuple[str, ...]]:
    """The spelling of a motion LoRA, and all those that it can be written in."""
    if any(ANIMATEDIFF in key for key in tensors):
        original = any("temporal_transformer" in key for key in tensors)
        return (ORIGINAL if original else DIFFUSERS).name, tuple(SPELLINGS)
    only = (ORIGINAL if is_list(tensors) else DIFFUSERS).name
    return only, (only,)


def respelled_lora(file: WeightsFile, lora: MotionLora, wanted: str) -> dict[str, Tensor]:
    """The tensors of a motion LoRA by their names in one of its spellings."""
    given, other = SPELLINGS[lora_spellings(file.tensors)[0]], SPELLINGS[wanted]
    if given is other:
        return dict(file.tensors)
    flat = {FLAT + name.replace(".", "_"): name for name in lora.targets}
    return {_renamed(key, given, other, flat): tensor for key, tensor in file.tensors.items()}


def _renamed(key: str, given: MotionSpelling, other: MotionSpelling, flat: Mapping[str, str]) -> str:
    module, _, leaf = key.partition(".")
    if module in flat:
        return f"{FLAT}{given.renamed(flat[module], other).replace('.', '_')}.{leaf}"
    return f"{UNET if other is DIFFUSERS else ''}{given.renamed(key.removeprefix(UNET), other)}"


def sparse_control_spelling(file: WeightsFile) -> MotionSpelling:
    """Spelling of SparseCtrl's motion modules; the ControlNet around them has the same names everywhere."""
    return next(spelling for spelling in sparse_control.SPELLINGS if spelling.keys_of(file))


def respelled_sparse_control(file: WeightsFile, wanted: str) -> dict[str, Tensor]:
    """The tensors of SparseCtrl by their names in one of the two spellings."""
    given = sparse_control_spelling(file)
    other = next(spelling for spelling in sparse_control.SPELLINGS if spelling.name == wanted)
    return {given.renamed(key, other): tensor for key, tensor in file.tensors.items()}
