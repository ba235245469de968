"""The graph inside a file: JSON, or what ComfyUI and VideoHelperSuite write into PNG, WebP, mp4 and webm."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...temporal.errors import GraphError

GRAPH, PROMPT = "workflow", "prompt"
SUFFIXES = (".json", ".png", ".webp", ".mp4", ".m4v", ".mov", ".webm", ".mkv")
TIMEOUT = 60  # seconds
ESCAPED_LINE = re.compile(r"\\\n")  # line breaks of a value, in ffmpeg's own format
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
PICTURES = (".png", ".webp")


def read_graph(path: Path) -> Any:
    """The graph of a file: that of the page where it has one, else the prompt.

    Raises:
        GraphError: a file without a graph, or one that cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise GraphError(f"{path.name} is no file that can hold a graph; give one of {', '.join(SUFFIXES)}.")
    if suffix == ".json":
        try:
            return _json(path.read_text("utf-8-sig", "replace"), path.name)
        except OSError as error:
            raise GraphError(f"{path.name} cannot be read ({error.strerror}); check the path.") from None
    found = dict(_pictures(path) if suffix in PICTURES else _films(path))
    for name in (GRAPH, PROMPT):
        if name in found:
            return found[name]
    raise GraphError(
        f"{path.name} holds no graph: it was saved without, or another program took it out. Use the .json "
        "or the file as ComfyUI wrote it."
    )


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise GraphError(f"{name} is not JSON; save the graph in ComfyUI again.") from None


def _pictures(path: Path) -> Iterator[tuple[str, Any]]:
    """Text of PNG; EXIF of WebP, in which the host writes "name:{...}"."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            texts = [f"{name}:{image.info[name]}" for name in (GRAPH, PROMPT) if name in image.info]
            texts += [str(value) for value in image.getexif().values()]
    except (UnidentifiedImageError, OSError, SyntaxError):
        raise GraphError(f"{path.name} is damaged: it is no picture that can be opened.") from None
    for text in texts:
        name, found, rest = text.partition(":")
        if found and name.lower() in (GRAPH, PROMPT):
            parsed = _parsed(rest)
            if parsed is not None:
                yield name.lower(), parsed


def _parsed(text: str) -> Any:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _films(path: Path) -> Iterator[tuple[str, Any]]:
    """Tags of a film named as the host names them, or one comment with both, as VideoHelperSuite has it."""
    for name, text in _tags(path).items():
        value = _parsed(text)
        if value is None:
            continue
        if name.lower() in (GRAPH, PROMPT):
            yield name.lower(), value
        for inner in (GRAPH, PROMPT):
            part = value.get(inner) if name.lower() == "comment" else None
            part = _parsed(part) if isinstance(part, str) else part
            if isinstance(part, dict):
                yield inner, part


def _tags(path: Path) -> dict[str, str]:
    """Tags of a film, as ffmpeg reads them."""
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "ffmetadata", "-"]
    read = subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=False)
    if read.returncode:
        raise GraphError(f"{path.name} is damaged: it is no film that can be opened.")
    lines = ESCAPED_LINE.sub("\0", read.stdout.decode("utf-8", "replace")).split("\n")
    pairs = (line.partition("=") for line in lines)
    return {name: ESCAPED.sub(r"\1", value.replace("\0", "\n")) for name, found, value in pairs if found}
