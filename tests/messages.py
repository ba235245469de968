"""Sentences that users see.

The errors of the source, their values left out, and the items of pages that are about them.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ITEM = re.compile(r"^- `([^`]+)`(?: · .+)?<br>\S", re.MULTILINE)
FOLD = re.compile(r"<details>\n<summary>[^<]+</summary>\n\n(.+?)\n\n</details>", re.DOTALL)
WORD = re.compile(r"[A-Za-z][\w']*")
FEWEST_WORDS = 4  # that can tell a sentence from the others


@functools.cache
def errors() -> tuple[tuple[str, str], ...]:
    """File and sentence of every error that the pack raises, without its values."""
    folders = ("curation", "evaluation", "formats", "graphs", "nodes", "temporal", "training")
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    trees = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in paths}
    kinds = {node.name for node in trees["temporal/errors.py"].body if isinstance(node, ast.ClassDef)}
    named = {name: value for tree in trees.values() for name, value in _constants(tree)}
    return tuple(
        (path, _sentence(node.args[0], named))
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds
    )


def in_the_code(item: str) -> bool:
    """True if the pack raises an error that an item of a page is about."""
    return any(is_about(item, sentence) for _, sentence in errors())


def is_about(item: str, sentence: str) -> bool:
    """True if an item, with `...` for values, has a part of a sentence.

    One of few words must have all of it.
    """
    pattern = ".*".join(re.escape(piece) for piece in item.split("..."))
    find = re.search if len(WORD.findall(item)) >= FEWEST_WORDS else re.fullmatch
    return find(pattern, sentence, re.DOTALL) is not None


def section(page: str, title: str) -> str:
    """The part of a page below a heading of the second level."""
    return page.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def folded(part: str) -> str:
    """The folded text of a part of a page."""
    return "\n".join(FOLD.findall(part))


def in_sight(part: str) -> str:
    """The text of a part of a page that is not folded."""
    return FOLD.sub("", part)


def _constants(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Names that a file gives to texts."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            yield from ((target.id, node.value) for target in node.targets if isinstance(target, ast.Name))


def _sentence(node: ast.expr, named: dict[str, ast.expr]) -> str:
    """Sentence of an expression, without its values."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(part.value for part in parts if isinstance(part, ast.Constant))
        case ast.Call(func=ast.Attribute(value=template, attr="format")):
            return _sentence(template, named)
        case ast.Name(id=name) if name in named:
            return _sentence(named[name], named)
    raise ValueError(
        f"An error says {ast.unparse(node)}; write its sentence where it is raised, or name it as a constant."
    )
