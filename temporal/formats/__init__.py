"""Files of temporal layers, and of whole video models: one module per family, as `Family` says."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import CheckpointFormatError
from ..stack.stack import TemporalStack
from ..weights.files import WeightsFile, read_weights
from . import lavie, modelscope, seine, svd, upscale_a_video, videocrafter
from .animatediff import ORIGINAL
from .facts import Betas
from .family import Family, ModelFamily
from .hotshot import HOTSHOT
from .motion_adapter import DIFFUSERS
from .native import NATIVE, save_stack
from .other_files import describe_other
from .source import Layers, Source, report, trained_betas, trained_frames
from .video_model import VideoModel, report_model

__all__ = [
    "Betas",
    "Source",
    "VideoModel",
    "load_stack",
    "open_stack",
    "open_video_model",
    "report",
    "report_model",
    "save_stack",
    "stack_of",
    "trained_betas",
    "trained_frames",
    "video_family",
    "video_model_of",
    "what_it_is",
]

# the first that recognises a file has it
FAMILIES: tuple[Family, ...] = (
    NATIVE,
    ORIGINAL,  # also one of diffusers' names
    DIFFUSERS,
    HOTSHOT,
    lavie.UPSCALER,
    upscale_a_video.UPSCALER,
    # whole models, whose image model was trained along
    svd.ORIGINAL,
    svd.DIFFUSERS,
    videocrafter.VIDEOCRAFTER2,
    videocrafter.VIDEOCRAFTER1_1024,
    videocrafter.VIDEOCRAFTER1_512,
    videocrafter.VIDEOCRAFTER1_I2V,
    modelscope.ORIGINAL,
    modelscope.DIFFUSERS,
    lavie.BASE,
    lavie.INTERPOLATION,
    seine.SEINE,
)
# what trainers and pipelines put before every key, also before each other's
PREFIXES = (
    *("_forward_module.", "_fsdp_wrapped_module.", "_orig_mod.", "base_model.model."),
    *("module.", "model.", "diffusion_model.", "unet."),
)


def load_stack(
    path: str | Path,
    ops: Any = nn,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> TemporalStack:
    """Read temporal layers from a file of any known family.

    `dtype` and `device` default to the file's and the CPU.

    Raises:
        CheckpointFormatError: not temporal layers (the message says what it is and where it belongs), or
            damaged.
    """
    return open_stack(path, ops, dtype, device)[0]


def open_stack(
    path: str | Path,
    ops: Any = nn,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Layers:
    """Read temporal layers as `load_stack` does, and tell where they came from, for `report`.

    Only the temporal layers of a whole video model are read.
    """
    return stack_of(read_weights(path), ops, dtype, device)


def stack_of(
    file: WeightsFile,
    ops: Any = nn,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Layers:
    """Make a stack of a file that was read, and tell where it came from."""
    named = bare(file)
    family = next((family for family in FAMILIES if family.separable and family.recognise(named)), None)
    layers = None if family is None else family.load(named, ops, dtype, device).layers()
    if layers is not None:
        return layers
    raise CheckpointFormatError(f"{file.path.name} holds no temporal layers: {what_it_is(file)}")


def open_video_model(
    path: str | Path,
    ops: Any = nn,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> VideoModel:
    """Read a file that brings an image model and its temporal layers; arguments as in `load_stack`.

    Raises:
        CheckpointFormatError: not a whole video model (the message says what it is and where it belongs), or
            damaged.
    """
    return video_model_of(read_weights(path), ops, dtype, device)


def video_model_of(
    file: WeightsFile,
    ops: Any = nn,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> VideoModel:
    """Make a whole video model of a file that was read."""
    named = bare(file)
    family = video_family(named)
    if family is None:
        raise CheckpointFormatError(
            f"{file.path.name} is no video model that can be read: {what_it_is(file)}"
        )
    return family.load(named, ops, dtype, device)


def model_families() -> tuple[ModelFamily, ...]:
    """The families of whole video models, each in each of its spellings."""
    return tuple(family for family in FAMILIES if isinstance(family, ModelFamily))


def video_family(file: WeightsFile) -> ModelFamily | None:
    """The family of whole video models that a file, under bare names, is of."""
    return next((family for family in model_families() if family.recognise(file)), None)


def what_it_is(file: WeightsFile) -> str:
    """One sentence on what a file, as it was read, is and which loader opens it.

    A loader says it of a file that it cannot open.
    """
    named = bare(file)
    family = next((family for family in FAMILIES if family.recognise(named)), None)
    if isinstance(family, ModelFamily):
        return (
            f"it is {family.called(named)}, a whole video model: its image model was trained along; put it "
            "in models/diffusion_models and load it with Load Video Model."
        )
    if family is not None:
        return (
            f"it holds temporal layers of {family.called(named)}; put it in models/temporal_layers and "
            "load it with Load Temporal Layers."
        )
    return describe_other(file)


def bare(file: WeightsFile) -> WeightsFile:
    """Tensors under their bare names; the file itself where two would get the same name."""
    tensors = {_bare(key): tensor for key, tensor in file.tensors.items()}
    return replace(file, tensors=tensors) if len(tensors) == len(file.tensors) else file


def _bare(key: str) -> str:
    """A key without its prefixes, in whatever order trainers wrapped each other."""
    while prefix := next((prefix for prefix in PREFIXES if key.startswith(prefix)), ""):
        key = key.removeprefix(prefix)
    return key
