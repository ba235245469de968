"""Other words by which a node is found in the host's search: what artists call it elsewhere."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from . import io


def search_aliases(words: str) -> dict[str, Any]:
    """The argument of `io.Schema` for words with commas between.

    None for hosts whose search looks at names alone (0.3).
    """
    known = {field.name for field in fields(io.Schema)}
    return {"search_aliases": words.split(", ")} if "search_aliases" in known else {}
