"""Fingerprints of the files that a graph names: weights, pictures."""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import comfy.model_management as mm
import folder_paths

import nodes

from .progress import TimeLeft

BLOCK = 2**22  # bytes read at once
GLANCES, GLANCE = 64, 2**12  # places of a file that are looked at, and bytes of each


def contents(origin: Any) -> dict[str, str]:
    """Fingerprint of every file that a graph from `ancestors` chooses. A file of the same name with other contents has another
    one, the same file on another disk has the same.
    """
    found = {}
    for name in set(_choices(origin)):
        for folder, path in _files(name):
            with suppress(OSError):  # a file that nobody may read is as good as none: its loader says so
                found[f"{folder}/{name}"] = _fingerprint(path, *_state(path))
    return found


def _choices(origin: Any) -> Iterator[str]:
    """Values that were chosen from a list, which is how nodes offer files; a text is never taken for one."""
    if not isinstance(origin, Mapping):
        return
    inputs = origin.get("inputs") if "type" in origin else origin
    lists = _lists(origin["type"]) if "type" in origin else set()
    for name, value in inputs.items():
        if isinstance(value, str) and name in lists:
            yield value
        yield from _choices(value)


def _lists(kind: str) -> set[str]:
    """Inputs of a kind of node that choose from a list, as the host asks for them."""
    node = nodes.NODE_CLASS_MAPPINGS.get(kind)
    declared = node.INPUT_TYPES() if node is not None else {}
    return {
        name
        for group in ("required", "optional")
        for name, (type_of, *_) in declared.get(group, {}).items()
        if isinstance(type_of, list | tuple) or type_of == "COMBO"
    }


def _files(name: str) -> Iterator[tuple[str, Path]]:
    """Where a choice is a file, by folder of models; "input" is the host's. Never outside of those folders."""
    for folder in sorted(folder_paths.folder_names_and_paths):
        path = folder_paths.get_full_path(folder, name)
        if path is not None:
            yield folder, Path(path)
    plain, base = folder_paths.annotated_filepath(name)
    base = os.path.abspath(base or folder_paths.get_input_directory())  # noqa: PTH100
    path = Path(os.path.abspath(Path(base) / plain))  # noqa: PTH100
    if path.is_relative_to(base) and os.path.isfile(path):  # noqa: PTH113 (pathlib raises for names that are none)
        yield "input", path


def _state(path: Path) -> tuple[int, ...]:
    """Numbers that change when a file does: also where size and time of change are those of another one before."""
    stat = path.stat()
    glance = hashlib.sha256()
    with path.open("rb") as file:
        for number in range(GLANCES):
            file.seek(max(0, stat.st_size - GLANCE) * number // (GLANCES - 1))
            glance.update(file.read(min(GLANCE, stat.st_size)))
    seen = int.from_bytes(glance.digest()[:8], "big")
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, seen


@functools.lru_cache(maxsize=64)
def _fingerprint(path: Path, size: int, *_state: int) -> str:
    """Read once for as long as its state stays, in pieces between which the host may interrupt."""
    total, done, time_left = hashlib.sha256(), 0, TimeLeft()
    with path.open("rb") as file:
        while block := file.read(min(BLOCK, size - done)):
            mm.throw_exception_if_processing_interrupted()
            total.update(block)
            done += len(block)
            time_left(f"reading {path.name}", done, size)
    return total.hexdigest()
