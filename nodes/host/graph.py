"""The graph around a node, as the host runs it, and fingerprints of the files it names: weights, pictures."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import comfy.model_management as mm
import folder_paths
from comfy_execution.graph import DynamicPrompt
from comfy_execution.graph_utils import is_link

import nodes

from .progress import TimeLeft

BLOCK = 2**22  # bytes read at once
GLANCES, GLANCE = 64, 2**12  # places of a file that are looked at, and bytes of each


def ancestors(graph: DynamicPrompt | None, node: str | None, inputs: Sequence[str]) -> dict[str, Any]:
    """Everything that leads to some inputs of a node.

    Types, values and links of all nodes above, whatever their numbers are.

    Nodes that others made while the graph runs are among them. Empty outside a graph. Equal for equal graphs,
    so it tells whether a model was made the same way before.
    """
    if graph is None or node is None or not graph.has_node(node):
        return {}
    return {name: _origin(graph, graph.get_node(node)["inputs"].get(name)) for name in inputs}


def leading_to(hidden: Any, *inputs: str) -> dict[str, Any]:
    """`ancestors` of inputs of the node that runs, by what the host tells it aside.

    Empty where it runs without a graph.
    """
    return {} if hidden is None else ancestors(hidden.dynprompt, hidden.unique_id, inputs)


def _origin(graph: DynamicPrompt, value: Any) -> Any:
    if not (is_link(value) and graph.has_node(value[0])):
        return value
    node = graph.get_node(value[0])
    inputs = {name: _origin(graph, part) for name, part in node["inputs"].items()}
    return {"type": node["class_type"], "output": value[1], "inputs": inputs}


def written(origin: Any) -> str:
    """A graph from `ancestors` as text.

    Values that are not JSON (objects put there by other nodes) get a random id, so they never match.
    """
    return json.dumps(origin, sort_keys=True, default=lambda _: uuid4().hex)


def contents(origin: Any) -> dict[str, str]:
    """Fingerprint of every file that a graph from `ancestors` chooses.

    A file of the same name with other contents has another one, the same file on another disk has the same.
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
    inputs = origin.get("inputs", {}) if "type" in origin else origin
    lists = _lists(origin["type"]) if "type" in origin else set()
    for name, value in inputs.items():
        if isinstance(value, str) and name in lists:
            yield value
        yield from _choices(value)


def _lists(kind: str) -> set[str]:
    """Inputs of a kind of node that choose from a list, as the host asks for them."""
    node = nodes.NODE_CLASS_MAPPINGS.get(kind)  # pyright: ignore[reportAttributeAccessIssue] our folder's name
    declared = node.INPUT_TYPES() if node is not None else {}
    return {
        name
        for group in ("required", "optional")
        for name, (type_of, *_) in declared.get(group, {}).items()
        if isinstance(type_of, list | tuple) or type_of == "COMBO"
    }


def _files(name: str) -> Iterator[tuple[str, Path]]:
    """Chosen files by folder of models; "input" is the host's.

    Never outside of those folders.
    """
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
    """Numbers that change when a file does.

    They also change when a file of the same size and time takes its place.
    """
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
