"""Model folders of the pack and what is opened from them."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Any

import comfy.model_management as mm
import comfy.ops
import folder_paths

from ...temporal.claims import claim_new
from ...temporal.errors import InvalidInputError
from ...temporal.formats import Betas, open_stack, report, trained_betas
from ...temporal.weights.whole_file import cannot_write
from .patcher import new_patcher

logger = logging.getLogger(__name__)

TEMPORAL_LAYERS = "temporal_layers"
TEMPORAL_DECODERS = "temporal_decoders"
MOTION_LORA = "motion_lora"
VIDEO_UPSCALERS = "video_upscalers"
CONTROL_NETS = "controlnet"  # the host's own
OLD_PACK = "ComfyUI-AnimateDiff-Evolved"
OLD_FOLDERS = {  # in `models`, and in the folder of that pack
    TEMPORAL_LAYERS: ("animatediff_models", "models"),
    MOTION_LORA: ("animatediff_motion_lora", "motion_lora"),
}
LONGEST_NAME = 150  # bytes of a new file's name, which gets a number, an end and hidden names beside it
FORBIDDEN = set('<>:"/\\|?*')  # in names, on Windows
DEVICES = {
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{port}{number}" for port in ("COM", "LPT") for number in range(1, 10)),
}
FOLDERS = (TEMPORAL_LAYERS, TEMPORAL_DECODERS, MOTION_LORA, VIDEO_UPSCALERS)


@functools.cache
def register_folders() -> None:
    """Tell the host about the pack's folders in `models`, keeping paths users configured."""
    for name in FOLDERS:
        folder_paths.add_model_folder_path(name, str(Path(folder_paths.models_dir) / name))
        paths, _ = folder_paths.folder_names_and_paths[name]
        paths += [path for path in _of_animatediff(name) if path not in paths]
        folder_paths.folder_names_and_paths[name] = (paths, folder_paths.supported_pt_extensions)


def _of_animatediff(name: str) -> list[str]:
    """Folders in which files for AnimateDiff-Evolved lie.

    Its folders of `models`, wherever an artist put these, and its own.
    """
    if name not in OLD_FOLDERS:
        return []
    shared, own = OLD_FOLDERS[name]
    configured = folder_paths.folder_names_and_paths.get(shared, ([], set()))[0]
    packs = [Path(folder) / OLD_PACK / own for folder in folder_paths.get_folder_paths("custom_nodes")]
    return list(dict.fromkeys([*configured, str(Path(folder_paths.models_dir) / shared), *map(str, packs)]))


def _file_names(folder: str) -> list[str]:
    """Names an artist can pick from in one of the pack's folders."""
    register_folders()
    return folder_paths.get_filename_list(folder)


def choices(*folders: str, names: Sequence[str] | None = None) -> list[str]:
    """Names for the list of a loader, those of the files in folders unless others are given.

    Where there is none yet, the list names the folders: the page would show "undefined".
    """
    found = [name for folder in folders for name in _file_names(folder)] if names is None else list(names)
    return found or [f"no file yet in {' or '.join(f'models/{folder}' for folder in folders)}"]


def full_path(folder: str, name: str) -> str:
    """Path of a file in one of the pack's folders.

    Raises InvalidInputError when it is gone, as in a graph made on another machine.
    """
    register_folders()
    path = folder_paths.get_full_path(folder, name)
    if path is None and folder in OLD_FOLDERS:
        meant = meant_name(folder, name)
        path = None if meant is None else folder_paths.get_full_path(folder, meant)
    if path is None:
        known = ", ".join(_file_names(folder)[:5]) or "no files"
        raise InvalidInputError(
            f"There is no file {name!r} in models/{folder}, which holds {known}. Put the file there and "
            "refresh, or pick another."
        )
    return path


def meant_name(folder: str, name: str) -> str | None:
    """The one file of a folder that a graph from elsewhere can mean.

    Other slashes, another subfolder, another ending.
    """
    meant = PureWindowsPath(name)
    listed = {known: PureWindowsPath(known) for known in folder_paths.get_filename_list(folder)}
    for fits in (
        lambda known: known == meant,
        lambda known: known.name.lower() == meant.name.lower(),
        lambda known: known.stem.lower() == meant.stem.lower(),
    ):
        found = [known for known, path in listed.items() if fits(path)]
        if len(found) == 1:
            return found[0]
    return None


def new_path(folder: str, name: str) -> Path:
    """Path of a new file in one of the pack's folders.

    Raises InvalidInputError for a name that is none on some system, is too long, or leads out of the folder.
    """
    register_folders()
    is_plain = name and name.isprintable() and not set(name) & FORBIDDEN and Path(name).name == name
    if (
        not is_plain
        or name.startswith(".")
        or name.endswith((".", " "))
        or name.split(".")[0].upper() in DEVICES
    ):
        raise InvalidInputError(
            f"The file name is {name[:LONGEST_NAME]!r}; give a plain name without folders, such as "
            "my_decoder."
        )
    length = len(name.encode("utf-8", "surrogatepass"))
    if length > LONGEST_NAME:
        raise InvalidInputError(
            f"The file name has {length} bytes; give one of at most {LONGEST_NAME}, where letters outside "
            "English take 2 to 4."
        )
    return Path(folder_paths.get_folder_paths(folder)[0]) / f"{name.removesuffix('.safetensors')}.safetensors"


def write_new(path: Path, write: Callable[[Path], None]) -> Path:
    """Let `write` make a file, under its name or, where that is taken, the next free number.

    Nothing is overwritten.

    Raises OutputError when the disk does not take it.
    """

    def numbered(number: int) -> Path:
        return path if number == 1 else path.with_name(f"{path.stem}_{number:05}_{path.suffix}")

    try:
        with claim_new(numbered) as claim:
            made = claim.folder / path.name
            write(made)
            claim.publish(made)
            return claim.path
    except OSError as error:
        raise cannot_write(path, error) from None


def written_line(path: Path, wanted: Path) -> str:
    """Line on the node about the file that it wrote."""
    line = f"Wrote models/{path.parent.name}/{path.name}"
    return line if path == wanted else f"{line}; {wanted.name} was already there and stays as it is"


@dataclass(frozen=True)
class Opened:
    """A file of temporal layers.

    ModelPatcher around its stack, the betas it was trained with, and its report.
    """

    patcher: Any
    betas: Betas | None
    report: str


def open_temporal_layers(name: str, load_device: Any = None) -> Opened:
    """Open a file in `models/temporal_layers`; weights keep the file's precision. The report is also logged.

    `load_device` is what computes with them; None: what the host computes on.
    """
    device, path = mm.unet_offload_device(), full_path(TEMPORAL_LAYERS, name)
    stack, source = open_stack(path, ops=comfy.ops.manual_cast, device=device)
    text = report(stack, source)
    logger.info("%s: %s", name, text)
    patcher = new_patcher(stack, device, load_device, again=(temporal_layers_again, (path,)))
    return Opened(patcher, trained_betas(stack), text)


def temporal_layers_again(path: str, disable_dynamic: bool = False) -> Any:
    """One more patcher, with weights of its own, of the temporal layers in a file."""
    device = mm.unet_offload_device()
    stack, _ = open_stack(path, ops=comfy.ops.manual_cast, device=device)
    return new_patcher(stack, device, dynamic=not disable_dynamic)
