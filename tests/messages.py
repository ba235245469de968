"""Sentences that users see, as the source has them: values left out, which pages write as `...`."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)


@functools.cache
def sentences() -> tuple[str, ...]:
    """Every text in the pack's source, without its values."""
    found = []
    for path in (*(ROOT / "nodes").rglob("*.py"), *(ROOT / "temporal").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append("".join(part.value for part in node.values if isinstance(part, ast.Constant)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return tuple(found)


def in_the_code(message: str) -> bool:
    """Whether the source has a sentence with the pieces of a message, in their order."""
    pieces = [re.escape(piece) for piece in message.split("...") if piece.strip()]
    pattern = re.compile(".*".join(pieces), re.DOTALL)
    return any(pattern.search(sentence) for sentence in sentences())


def section(page: str, title: str) -> str:
    """The part of a page below a heading of the second level."""
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
