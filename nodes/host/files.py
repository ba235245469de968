"""Model folders of the pack and what is opened from them."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import comfy.ops
import folder_paths

from ...temporal.errors import InvalidInputError
from ...temporal.formats import load_stack
from .patcher import new_patcher

TEMPORAL_LAYERS = "temporal_layers"
TEMPORAL_DECODERS = "temporal_decoders"


@functools.cache
def register_folders() -> None:
    """Tell the host about `models/temporal_layers` and `models/temporal_decoders`, keeping paths users configured."""
    for name in (TEMPORAL_LAYERS, TEMPORAL_DECODERS):
        folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name))
        paths, _ = folder_paths.folder_names_and_paths[name]
        folder_paths.folder_names_and_paths[name] = (paths, folder_paths.supported_pt_extensions)


def file_names(folder: str) -> list[str]:
    """Names an artist can pick from in one of the pack's folders."""
    register_folders()
    return folder_paths.get_filename_list(folder)


def full_path(folder: str, name: str) -> str:
    """Path of a file in one of the pack's folders.

    Raises InvalidInputError when it is gone, as in a graph made on another machine.
    """
    path = folder_paths.get_full_path(folder, name)
    if path is None:
        known = ", ".join(file_names(folder)[:5]) or "no files"
        raise InvalidInputError(
            f"There is no file {name!r} in models/{folder}, which holds {known}. Put the file there and refresh, or "
            "pick another."
        )
    return path


def open_temporal_layers(name: str) -> Any:
    """ModelPatcher around the stack of a file in `models/temporal_layers`; weights keep the file's precision."""
    device = mm.unet_offload_device()
    stack = load_stack(full_path(TEMPORAL_LAYERS, name), ops=comfy.ops.manual_cast, device=device)
    return new_patcher(stack, device)
