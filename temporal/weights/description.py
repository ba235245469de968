"""Descriptions of weights: frozen dataclasses that travel as JSON in the metadata of a file.

A field whose default is None is left out where it is None: a new part of a description does not change old
files.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin

from ..errors import CheckpointFormatError

T = TypeVar("T")
LONGEST = 60  # of a wrong value in an error message


def to_json(description: Any) -> str:
    """A dataclass as one line of JSON."""

    def given(items: list[tuple[str, Any]]) -> dict[str, Any]:
        return {name: value for name, value in items if value is not None}

    return json.dumps(asdict(description, dict_factory=given))


def from_json(kind: type[T], text: str) -> T:
    """The reverse of `to_json`. Every field without None as default must be there, and no other.

    Raises:
        CheckpointFormatError: not JSON, or the fields are not those of `kind`.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointFormatError(
            f"The file's description of its weights cannot be read: {error}."
        ) from None
    return _build(kind, values)


def check_described(facts: Mapping[str, bool]) -> None:
    """Refuse a description of which something is not so; each fact says what must hold.

    Raises:
        CheckpointFormatError: the first one that does not.
    """
    for fact, holds in facts.items():
        if not holds:
            raise CheckpointFormatError(
                f"The file's description of its weights cannot be right: {fact}. It may be damaged."
            )


def _build(kind: Any, values: Any) -> Any:
    expected = {field.name: field.type for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is not None}
    given = values if isinstance(values, dict) else {}
    missing, unknown = sorted(needed - given.keys()), sorted(given.keys() - expected.keys())
    if missing or unknown:
        raise CheckpointFormatError(
            f"The file's description of its weights does not fit this version of the pack: {missing} "
            f"missing, {unknown} unknown. Update the pack."
        )
    return kind(**{name: _value(name, expected[name], value) for name, value in given.items()})


def _value(name: str, kind: Any, value: Any) -> Any:
    """Convert a JSON value to the declared type: dataclass, Literal, tuple of int, or plain type."""
    kind = next((part for part in get_args(kind) if is_dataclass(part) or get_origin(part) is Literal), kind)
    if is_dataclass(kind):
        return _build(kind, value)
    if get_origin(kind) is tuple and isinstance(value, list):
        value = tuple(value)
    if not _fits(kind, value):
        expected = getattr(kind, "__name__", "") if isinstance(kind, type) else str(kind)
        raise CheckpointFormatError(
            f"The file's description of its weights says {name} = {_short(value)}, but {expected} was "
            "expected."
        )
    return value


def _fits(kind: Any, value: Any) -> bool:
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    if get_origin(kind) is tuple:
        return isinstance(value, tuple) and all(type(item) is int for item in value)
    return kind not in (int, bool, str) or type(value) is kind


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
