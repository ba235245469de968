"""Small wrong changes of Python sources, and their transplantation into modules that are loaded.

A change is one operator, comparison, number, flag, condition or dropped statement. Annotations, docstrings,
messages of errors, f-strings and `strict=` of `zip` are left alone.
"""

from __future__ import annotations

import ast
import functools
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

OPERATORS = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
    **{ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
}
COMPARISONS = {
    **{
        ast.Lt: ast.LtE,
        ast.LtE: ast.Lt,
        ast.Gt: ast.GtE,
        ast.GtE: ast.Gt,
        ast.Eq: ast.NotEq,
        ast.NotEq: ast.Eq,
    },
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In},
}
LEFT_ALONE = (ast.Raise, ast.JoinedStr, ast.Import, ast.ImportFrom, ast.Global)


@dataclass(frozen=True)
class Mutant:
    """One change of a file: its place in the source, what stands there and what stands there then."""

    path: str
    line: int
    start: int  # bytes from the start of the file
    end: int
    before: str
    after: str

    def source(self, root: Path) -> str:
        """The whole file with the change."""
        content = (root / self.path).read_bytes()
        return (content[: self.start] + self.after.encode() + content[self.end :]).decode()

    def __str__(self) -> str:
        return f"{self.path}:{self.line} `{self.before}` -> `{self.after}`"


def mutants(root: Path, path: str) -> list[Mutant]:
    """All changes of a file, in its order."""
    content = (root / path).read_bytes()
    starts = [0]
    for line in content.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node, after in _changes(ast.parse(content)):
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        before = " ".join(content[start:end].decode().split())
        found.append(Mutant(path, node.lineno, start, end, before, after))
    return found


def _changes(node: ast.AST) -> Iterator[tuple[Any, str]]:
    """A node below this one, and what to write in its place."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, LEFT_ALONE) or _is_text(child):
                continue
            if isinstance(child, ast.keyword) and child.arg == "strict":
                continue
            if isinstance(child, ast.expr | ast.stmt):
                yield from ((child, after) for after in _instead_of(child))
            yield from _changes(child)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _instead_of(node: ast.expr | ast.stmt) -> Iterator[str]:
    match node:
        case ast.BinOp(left, op, right) if type(op) in OPERATORS:
            yield _written(ast.BinOp(left, OPERATORS[type(op)](), right))
        case ast.Compare(left, [op], right) if type(op) in COMPARISONS:
            yield _written(ast.Compare(left, [COMPARISONS[type(op)]()], right))
        case ast.BoolOp(op, values):
            yield _written(ast.BoolOp(ast.And() if isinstance(op, ast.Or) else ast.Or(), values))
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield _written(operand)
        case ast.Constant(bool() as value):
            yield str(not value)
        case ast.Constant(int() | float() as value):
            yield str(value + 1 if isinstance(value, int) else value * 2 + 1e-3)
        case ast.IfExp(test, body, orelse):
            yield _written(ast.IfExp(test, orelse, body))
        case ast.AugAssign(target, op, value) if type(op) in OPERATORS:
            yield ast.unparse(ast.AugAssign(target, OPERATORS[type(op)](), value))
        case ast.Expr(ast.Call()):
            yield "pass"


def _written(node: ast.expr) -> str:
    return f"({ast.unparse(ast.fix_missing_locations(node))})"


def transplant(source: str, path: Path) -> int:
    """Give loaded copies of a module the functions, defaults and constants of another source.

    Functions stay the same objects, so whoever imported them has the change. Returns how many things changed.
    """
    copies = [
        m for m in list(sys.modules.values()) if Path(getattr(m, "__file__", None) or "/").resolve() == path
    ]
    changed = 0
    for module in copies:
        other = types.ModuleType(module.__name__)
        other.__dict__.update(
            {name: getattr(module, name, None) for name in ("__file__", "__package__", "__spec__")}
        )
        types.FunctionType(compile(source, str(path), "exec"), other.__dict__)()
        for name, new in vars(other).items():
            old = vars(module).get(name)
            if not name.startswith("__") and getattr(new, "__module__", module.__name__) == module.__name__:
                changed += _replace(module, name, old, new)
    return changed


def _replace(holder: Any, name: str, old: Any, new: Any) -> int:
    if isinstance(new, type) and isinstance(old, type):
        return sum(_replace(old, n, vars(old).get(n), value) for n, value in list(vars(new).items()))
    functions = list(zip(_functions(old), _functions(new), strict=False))
    if functions:
        return sum(_give(into, function) for into, function in functions)
    plain = (bool, int, float, str, tuple, frozenset, list, set, dict, functools.partial)
    same = repr(old) == repr(new) or " at 0x" in repr(new)  # of functions: other objects, the same things
    if not isinstance(new, plain) or same or name.startswith("__"):
        return 0
    holders = [holder] if isinstance(holder, type) else list(sys.modules.values())
    for place in holders:
        if vars(place).get(name) is old:
            setattr(place, name, new)
    return 1


def _functions(value: Any) -> list[types.FunctionType]:
    """Functions behind a method, a property, a cache or a context manager."""
    if isinstance(value, property):
        return [f for f in (value.fget, value.fset) if isinstance(f, types.FunctionType)]
    if isinstance(value, functools.cached_property):
        return [value.func]
    value = getattr(value, "__func__", value)
    while hasattr(value, "__wrapped__"):
        value = value.__wrapped__
    return [value] if isinstance(value, types.FunctionType) else []


def _give(old: types.FunctionType, new: types.FunctionType) -> int:
    before = old.__code__, repr(old.__defaults__), repr(old.__kwdefaults__)
    if old.__code__.co_freevars == new.__code__.co_freevars:
        old.__code__ = new.__code__
    if repr(old.__defaults__) != repr(new.__defaults__):
        old.__defaults__ = new.__defaults__
    if repr(old.__kwdefaults__) != repr(new.__kwdefaults__):
        old.__kwdefaults__ = new.__kwdefaults__
    return before != (old.__code__, repr(old.__defaults__), repr(old.__kwdefaults__))
