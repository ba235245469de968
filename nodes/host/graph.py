"""The graph around a node, as the host runs it."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import folder_paths
from comfy_execution.graph import DynamicPrompt
from comfy_execution.graph_utils import is_link

LONGEST_NAME = 512
BLOCK = 2**22  # bytes


def ancestors(graph: DynamicPrompt | None, node: str | None, inputs: Sequence[str]) -> dict[str, Any]:
    """What leads to some inputs of a node: types, values and links of all nodes above, whatever their numbers are.

    Nodes that others made while the graph runs are among them. Empty outside a graph. Equal for equal graphs, so it tells
    whether a model was made the same way before.
    """
    if graph is None or node is None or not graph.has_node(node):
        return {}
    return {name: _origin(graph, graph.get_node(node)["inputs"].get(name)) for name in inputs}


def _origin(graph: DynamicPrompt, value: Any) -> Any:
    if not (is_link(value) and graph.has_node(value[0])):
        return value
    node = graph.get_node(value[0])
    inputs = {name: _origin(graph, part) for name, part in node["inputs"].items()}
    return {"type": node["class_type"], "output": value[1], "inputs": inputs}


def written(origin: Any) -> str:
    """A graph from `ancestors` as text; a value that a node put there in place of a link is equal to no other."""
    return json.dumps(origin, sort_keys=True, default=lambda _: uuid4().hex)


def contents(origin: Any) -> dict[str, str]:
    """Fingerprint of every file that a graph from `ancestors` names: weights, pictures. A file of the same name with other
    contents has another one, the same file on another disk has the same.
    """
    paths = {f"{folder}/{name}": path for name in set(_names(origin)) for folder, path in _files(name)}
    return {
        name: _fingerprint(path, path.stat().st_size, path.stat().st_mtime_ns) for name, path in paths.items()
    }


def _names(origin: Any) -> Iterator[str]:
    if isinstance(origin, str):
        yield origin
    for part in origin.values() if isinstance(origin, Mapping) else ():
        yield from _names(part)


def _files(name: str) -> Iterator[tuple[str, Path]]:
    """Where a value of a widget is a file, by folder of models; "input" is the host's."""
    if not name or len(name) > LONGEST_NAME or "\n" in name:
        return
    for folder in sorted(folder_paths.folder_names_and_paths):
        path = folder_paths.get_full_path(folder, name)
        if path is not None:
            yield folder, Path(path)
    path = Path(folder_paths.get_input_directory()) / name
    if path.is_file():
        yield "input", path


@functools.lru_cache(maxsize=64)
def _fingerprint(path: Path, size: int, changed: int) -> str:
    """Read once for as long as its size and time of change stay."""
    with path.open("rb") as file:
        total = hashlib.sha256()
        while block := file.read(BLOCK):
            total.update(block)
        return total.hexdigest()
