"""Sums that an artist writes where a number is wanted, such as 0.5 + 0.2 * sin(t / 8).

Only arithmetic, nothing else runs.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Mapping
from typing import Any

from ...errors import InvalidInputError

LONGEST = 500  # characters
LARGEST_POWER = 100
NAMES: Mapping[str, float] = {"pi": math.pi, "e": math.e}
FUNCTIONS: Mapping[str, Any] = {
    **{name: getattr(math, name) for name in ("sin", "cos", "tan", "exp", "sqrt", "log", "floor", "ceil")},
    **{"abs": abs, "min": min, "max": max, "where": lambda test, yes, no: yes if test else no},
}
OPERATORS: Mapping[type, Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
    ast.FloorDiv: operator.floordiv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Lt: operator.lt,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
    ast.GtE: operator.ge,
}


def evaluate(text: str, values: Mapping[str, float]) -> float:
    """A sum with the names in `values`, in the syntax of Python.

    Raises:
        InvalidInputError: anything but arithmetic, an unknown name, or no number as the result.
    """
    try:
        if len(text) > LONGEST:
            raise ValueError
        number = float(_value(ast.parse(text.strip(), mode="eval").body, {**NAMES, **values}))
    except (SyntaxError, ValueError, TypeError, KeyError, ArithmeticError, RecursionError, MemoryError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInputError(
            f"{text.strip()[:60]!r} is no number and no sum that gives one; write numbers such as 1.5, or "
            f"sums of them with {', '.join(sorted({*values} - {''}))} and functions such as sin."
        )
    return number


def _value(node: ast.AST, names: Mapping[str, float]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            return names[name]
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left, names), _value(right, names))
        case ast.BinOp(left=left, op=op, right=right):
            return OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.UnaryOp(op=op, operand=operand):
            return OPERATORS[type(op)](_value(operand, names))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return OPERATORS[type(op)](_value(left, names), _value(right, names))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return FUNCTIONS[name](*(_value(arg, names) for arg in args))
    raise ValueError


def _power(base: float, exponent: float) -> float:
    if abs(exponent) > LARGEST_POWER:
        raise ValueError
    return base**exponent
