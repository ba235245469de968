"""Names of files and folders that an artist writes: variables filled in, inside the host's output folder.

A graph from elsewhere is run unread, so nothing that stands in it leads out; where else may be written, the
owner of the host says in a file that no graph can change. Films get their numbers in film/render.py.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import folder_paths

from ...temporal.errors import InvalidInputError

ALLOWED = "video_ldm_segments"  # name in extra_model_paths.yaml of folders outside the output folder
VARIABLE = re.compile(r"%([^%]+)%")
PARTS = {"d": "%d", "M": "%m", "h": "%H", "m": "%M", "s": "%S"}
DATE = re.compile("|".join([*(f"{part}{part}?" for part in PARTS), "yyyy", "yy"]))
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
OF_FORMATS = re.compile(r'[<>:"|?*\\]')  # what some system does not have in names
OF_VALUES = re.compile(r'[/?<>\\:*|"\x00-\x1f\x7f]')  # the page puts _ in their place


def filled_in(name: str, graph: Mapping[str, Any] | None = None) -> str:
    """A name with its `%date:FORMAT%` and `%Node.widget%` replaced.

    The host's page does this for some nodes of its own.

    The parts of FORMAT are yyyy, yy, MM, M, dd, d, hh, h, mm, m, ss and s. A node is found by its title or
    its type. Other variables stay: the host's savers know them.
    """
    now = time.localtime()

    def value(found: re.Match[str]) -> str:
        variable = found[1]
        if variable.startswith("date:"):
            return OF_FORMATS.sub("-", _date(variable.removeprefix("date:"), now))
        widget = _widget(variable, graph or {})
        return found[0] if widget is None else OF_VALUES.sub("_", str(widget))

    name = CONTROL.sub("_", VARIABLE.sub(value, name))
    if sys.platform == "win32":
        drive, rest = os.path.splitdrive(name)
        name = drive + re.sub(r'[<>:"|?*]', "_", rest)
    return name


def folder_inside_output(name: str, shown: str) -> Path:
    """A folder below the host's output folder. `shown`: the name as the artist wrote it.

    Raises InvalidInputError for one that leads out. Links that the owner put inside may lead out.
    """
    output = Path(os.path.abspath(folder_paths.get_output_directory()))  # noqa: PTH100
    folder = Path(os.path.abspath(output / name))  # noqa: PTH100
    if not folder.is_relative_to(output):
        raise InvalidInputError(
            f"The name {shown!r} leads out of ComfyUI's output folder. Give a name or a path inside it, "
            "such as video/clip."
        )
    return folder


def folder_of_segments(name: str) -> Path:
    """A folder below the host's output folder, or below one that its owner allows.

    Raises InvalidInputError for any other.
    """
    folder = filled_in(name.strip())
    allowed, _ = folder_paths.folder_names_and_paths.get(ALLOWED, ([], None))
    output = folder_paths.get_output_directory()
    path = Path(os.path.abspath(Path(output) / folder))  # noqa: PTH100
    if not any(path.is_relative_to(os.path.abspath(place)) for place in (output, *allowed)):  # noqa: PTH100
        raise InvalidInputError(
            f"The folder {name!r} leads out of ComfyUI's output folder. Give one inside it, such as "
            "video_ldm/segments; for a folder elsewhere, the owner of this ComfyUI adds it to "
            f"extra_model_paths.yaml under the name {ALLOWED}."
        )
    return path


def _date(format: str, now: time.struct_time) -> str:
    def part(found: re.Match[str]) -> str:
        text = found[0]
        if text[0] == "y":
            return time.strftime("%Y" if text == "yyyy" else "%y", now)
        number = time.strftime(PARTS[text[0]], now)
        return number if len(text) == 2 else number.lstrip("0") or "0"

    return DATE.sub(part, format)


def _widget(variable: str, graph: Mapping[str, Any]) -> Any:
    """Value of `Node.widget` in an API graph, None where there is none; links have none."""
    title, dot, widget = variable.rpartition(".")
    if not dot:
        return None
    for node in graph.values():
        names = (node.get("_meta", {}).get("title"), node.get("class_type"))
        value = node.get("inputs", {}).get(widget)
        if title in names and value is not None and not isinstance(value, list):
            return value
    return None
