"""Start ComfyUI's libraries in this process, without its server."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import os
import sys
from pathlib import Path

from ..temporal.errors import VideoLDMError

REPOSITORY = Path(__file__).resolve().parents[1]


class HostNotFoundError(VideoLDMError):
    """There is no ComfyUI to run in."""


def start_host(given: str | None, custom_nodes: list[str], cpu: bool) -> None:
    """Put ComfyUI on the import path and import the custom nodes named by path.

    It starts with memory-saving attention.

    Raises HostNotFoundError with what to do about it.
    """
    path = find_host(given)
    sys.path.insert(0, str(path))
    command, sys.argv = sys.argv, ["main.py", "--use-pytorch-cross-attention", *(["--cpu"] if cpu else [])]
    try:
        import comfy.options

        comfy.options.enable_args_parsing()
        import comfy.cli_args  # reads sys.argv
    finally:
        sys.argv = command
    for number, folder in enumerate(custom_nodes):
        _import_pack(Path(folder), f"custom_node_{number}")


def find_host(given: str | None) -> Path:
    """The ComfyUI folder.

    The one given, COMFYUI_PATH, the one this pack is installed in, or `.host` in the pack.
    """
    candidates = [given, os.environ.get("COMFYUI_PATH"), REPOSITORY.parents[1], REPOSITORY / ".host"]
    for candidate in candidates:
        if candidate and (Path(candidate) / "comfy" / "options.py").is_file():
            return Path(candidate).resolve()
        if candidate and candidate == given:
            raise HostNotFoundError(
                f"There is no ComfyUI in {given}; give the folder that holds its main.py."
            )
    raise HostNotFoundError("ComfyUI was not found; give its folder with --comfyui, or set COMFYUI_PATH.")


def keep_freed_memory() -> None:
    """Let glibc keep freed memory.

    On a CPU, handing every activation back to the kernel costs up to half of the time.
    """
    libc = ctypes.CDLL(ctypes.util.find_library("c"))
    if hasattr(libc, "mallopt"):
        libc.mallopt(-4, 0)  # M_MMAP_MAX: never mmap
        libc.mallopt(-1, (1 << 31) - 1)  # M_TRIM_THRESHOLD: never trim


def _import_pack(folder: Path, name: str) -> None:
    path = folder / "__init__.py" if folder.is_dir() else folder
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[str(path.parent)])
    if not path.is_file() or spec is None or spec.loader is None:
        raise HostNotFoundError(f"There is no custom node in {folder}; give a pack's folder or a .py file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
