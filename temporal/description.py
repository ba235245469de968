"""Descriptions of weights: frozen dataclasses that travel as JSON in the metadata of a file.

A field whose default is None is left out where it is None: a new part of a description does not change old files.
"""

import json
from dataclasses import asdict, fields, is_dataclass
from typing import Any, Literal, TypeVar, get_args, get_origin

from .errors import CheckpointFormatError

T = TypeVar("T")


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
    except ValueError as error:
        raise CheckpointFormatError(
            f"The file's description of its weights cannot be read: {error}."
        ) from None
    return _build(kind, values)


def _build(kind: type[T], values: Any) -> T:
    expected = {field.name: field.type for field in fields(kind)}
    needed = {field.name for field in fields(kind) if field.default is not None}
    given = values if isinstance(values, dict) else {}
    missing, unknown = sorted(needed - given.keys()), sorted(given.keys() - expected.keys())
    if missing or unknown:
        raise CheckpointFormatError(
            f"The file's description of its weights does not fit this version of the pack: {missing} missing, "
            f"{unknown} unknown. Update the pack."
        )
    return kind(**{name: _value(name, expected[name], value) for name, value in given.items()})


def _value(name: str, kind: Any, value: Any) -> Any:
    kind = next((part for part in get_args(kind) if is_dataclass(part)), kind)
    if is_dataclass(kind):
        return _build(kind, value)
    choices = [get_args(part) for part in (kind, *get_args(kind)) if get_origin(part) is Literal]
    if choices and value not in choices[0]:
        raise CheckpointFormatError(
            f"The file's description of its weights says {name} = {value!r}, but this version of the pack knows "
            f"{', '.join(choices[0])}. Update the pack."
        )
    if isinstance(value, list) and all(type(item) is int for item in value):
        value = tuple(value)
    if (kind is int or kind is bool or kind is str) and type(value) is not kind:
        raise CheckpointFormatError(
            f"The file's description of its weights says {name} = {value!r}, but {kind.__name__} was expected."
        )
    return value
