"""Notes in a film on its making, prompt and workflow, in the places where ComfyUI looks for them."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

# where the host puts them in a WebP: prompt in Model, the rest from Make downwards
EXIF_TAGS = {"prompt": 0x0110}
EXIF_FIRST = 0x010F
VP8X_HAS_EXIF = 0x08
GIF_END = b"\x3b"


def as_ffmetadata(notes: Mapping[str, str]) -> bytes:
    """Notes in ffmpeg's own text format, which has no limit on their length."""
    lines = [";FFMETADATA1", *(f"{_escaped(key)}={_escaped(value)}" for key, value in notes.items())]
    return "\n".join([*lines, ""]).encode()


def embed_notes(path: Path, suffix: str, notes: Mapping[str, str]) -> None:
    """Add notes to a finished file of a kind that ffmpeg writes without them."""
    if notes and suffix == ".webp":
        _append_exif(path, exif(notes))
    if notes and suffix == ".gif":
        _append_comment(path, notes)


def exif(notes: Mapping[str, str]) -> bytes:
    """Notes as the host stores them in EXIF.

    `name:json` under Model (prompt) and from Make downwards (the others).
    """
    from PIL import Image

    tags, free = Image.Exif(), EXIF_FIRST
    for key, value in notes.items():
        tag = EXIF_TAGS.get(key)
        if tag is None:
            tag, free = free, free - 1
        tags[tag] = f"{key}:{value}"
    return tags.tobytes().removeprefix(b"Exif\x00\x00")


def png_chunks(notes: Mapping[str, str]) -> bytes:
    """Notes as the text chunks of a PNG: latin-1 where it can be said so, international text otherwise."""
    chunks = []
    for key, value in notes.items():
        name = key.encode("latin-1", "replace")[:79]
        try:
            chunks.append(png_chunk(b"tEXt", name + b"\0" + value.encode("latin-1")))
        except UnicodeEncodeError:
            chunks.append(png_chunk(b"iTXt", name + b"\0\0\0\0\0" + value.encode()))
    return b"".join(chunks)


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG: length, kind, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _escaped(text: str) -> str:
    return re.sub(r"([=;#\\\n])", r"\\\1", text)


def _append_exif(path: Path, data: bytes) -> None:
    """Append an EXIF chunk to an animated WebP and announce it in the header (WebP container format)."""
    chunk = b"EXIF" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    with path.open("r+b") as file:
        head = file.read(21)
        if head[12:16] != b"VP8X":
            return  # a still picture without an extended header
        file.seek(20)
        file.write(bytes([head[20] | VP8X_HAS_EXIF]))
        size = file.seek(0, 2) + len(chunk) - 8
        file.write(chunk)
        file.seek(4)
        file.write(struct.pack("<I", size))


def _append_comment(path: Path, notes: Mapping[str, str]) -> None:
    """Put a comment extension before the end of a GIF (GIF89a, section 24): blocks of at most 255 bytes."""
    text = "\n".join(f"{key}:{value}" for key, value in notes.items()).encode()
    blocks = [text[at : at + 255] for at in range(0, len(text), 255)]
    with path.open("r+b") as file:
        file.seek(-1, 2)
        if file.read(1) != GIF_END:
            return
        file.seek(-1, 2)
        file.write(b"\x21\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0" + GIF_END)
