"""Damage to safetensors files.

To the header, to what it says of a tensor, to tensors, to our own description.

Each takes the bytes of a good file and a random generator and returns damaged bytes; what it does is its
name.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable

import torch
from safetensors.torch import load, save
from torch import Tensor

EXTREMES = (-1, 0, 1, 3, 2**31, 2**40, 2**63, 2**64, 10**30, 0.5, None, "32", [], True)
DTYPES = (
    "F16",
    "F32",
    "F64",
    "BF16",
    "I8",
    "I16",
    "I32",
    "I64",
    "U8",
    "BOOL",
    "F8_E4M3",
    "F8_E5M2",
    "C64",
    "X",
)


def header_length(content: bytes, dice: random.Random) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    choices = (0, 1, length - 1, length + 1, 2 * length, 2**31, 2**63, 2**64 - 1)
    return struct.pack("<Q", dice.choice(choices)) + content[8:]


def a_size(content: bytes, dice: random.Random) -> bytes:
    """Shapes that are negative, huge, fractions, or no numbers."""

    def change(header: dict, key: str) -> None:
        shape = header[key]["shape"]
        shape[dice.randrange(len(shape))] = dice.choice(EXTREMES)

    return _with_header(content, dice, change)


def all_sizes_huge(content: bytes, dice: random.Random) -> bytes:
    def change(header: dict, key: str) -> None:
        header[key] = {**header[key], "shape": [dice.choice((2**20, 2**32, 2**62))] * dice.choice((2, 5))}

    return _with_header(content, dice, change)


def more_axes(content: bytes, dice: random.Random) -> bytes:
    def change(header: dict, key: str) -> None:
        header[key]["shape"] = [1] * dice.choice((1, 3, 60, 5000)) + header[key]["shape"]

    return _with_header(content, dice, change)


def another_dtype(content: bytes, dice: random.Random) -> bytes:
    def change(header: dict, key: str) -> None:
        header[key]["dtype"] = dice.choice(DTYPES)

    return _with_header(content, dice, change)


def offsets(content: bytes, dice: random.Random) -> bytes:
    def change(header: dict, key: str) -> None:
        begin, end = header[key]["data_offsets"]
        header[key]["data_offsets"] = dice.choice(
            (
                [end, begin],
                [begin + 4, end + 4],
                [-begin - 4, end],
                [0, 2**62],
                [begin],
                [begin, end, end],
                "x",
            )
        )

    return _with_header(content, dice, change)


def no_such_field(content: bytes, dice: random.Random) -> bytes:
    def change(header: dict, key: str) -> None:
        header[key].pop(dice.choice(("shape", "dtype", "data_offsets")))

    return _with_header(content, dice, change)


def _with_header(content: bytes, dice: random.Random, change: Callable[[dict, str], None]) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    change(header, dice.choice([key for key in sorted(header) if key != "__metadata__"]))
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


# ------------------------------------------------------------------ tensors of a safetensors file


def a_key_renamed(content: bytes, dice: random.Random) -> bytes:
    def change(weights: dict[str, Tensor], key: str) -> None:
        place = dice.randrange(len(key))
        weights[key[:place] + dice.choice(("x", ".", "9", "\n", "\u00e9" * 400)) + key[place + 1 :]] = (
            weights.pop(key)
        )

    return _with_weights(content, dice, change)


def keys_lost(content: bytes, dice: random.Random) -> bytes:
    def change(weights: dict[str, Tensor], _key: str) -> None:
        for key in dice.sample(sorted(weights), dice.choice((1, len(weights) // 2, len(weights)))):
            del weights[key]

    return _with_weights(content, dice, change)


def a_key_too_many(content: bytes, dice: random.Random) -> bytes:
    def change(weights: dict[str, Tensor], key: str) -> None:
        weights[key.replace("0", "77", 1) + dice.choice(("", ".alpha", ".lora_up.weight"))] = torch.zeros(3)

    return _with_weights(content, dice, change)


def a_prefix_on_one(content: bytes, dice: random.Random) -> bytes:
    def change(weights: dict[str, Tensor], key: str) -> None:
        weights[f"{dice.choice(('module.', 'unet.'))}{key}"] = weights[key].clone()

    return _with_weights(content, dice, change)


def not_a_number(content: bytes, dice: random.Random) -> bytes:
    def change(weights: dict[str, Tensor], key: str) -> None:
        flat = weights[key].flatten()
        flat[dice.randrange(len(flat))] = dice.choice((torch.nan, torch.inf, -torch.inf))
        weights[key] = flat.reshape(weights[key].shape)

    return _with_weights(content, dice, change)


def converted(content: bytes, dice: random.Random) -> bytes:
    """A tensor honestly saved in another precision or as another kind of number."""
    kinds = (
        torch.float64,
        torch.bfloat16,
        torch.float8_e4m3fn,
        torch.int8,
        torch.int64,
        torch.bool,
        torch.complex64,
    )

    def change(weights: dict[str, Tensor], key: str) -> None:
        weights[key] = weights[key].to(dice.choice(kinds))

    return _with_weights(content, dice, change)


def reshaped(content: bytes, dice: random.Random) -> bytes:
    def change(weights: dict[str, Tensor], key: str) -> None:
        weight = weights[key]
        weights[key] = dice.choice(
            (weight.flatten(), weight[None], weight[:0], weight[:1], weight.sum())
        ).clone()

    return _with_weights(content, dice, change)


def _with_weights(
    content: bytes, dice: random.Random, change: Callable[[dict[str, Tensor], str], None]
) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    metadata = json.loads(content[8 : 8 + length]).get("__metadata__")
    weights = load(content)
    change(weights, dice.choice(sorted(weights)))
    return save(weights, metadata)


# ------------------------------------------------------------------ our own description


def a_wrong_description(content: bytes, dice: random.Random) -> bytes:
    """One value of the description replaced, at any depth."""
    extremes = (
        *EXTREMES,
        {},
        [0],
        [-1] * 4,
        [10**6] * 4,
        [1] * 10**5,
        [0.5] * 4,
        ["1"] * 4,
        10**9,
        7,
        "nonsense",
    )

    def change(config: dict) -> dict:
        inside = config.get("unet", config.get("shape", config))
        where = dice.choice((config, inside, inside))
        where[dice.choice(sorted(where))] = dice.choice(extremes)
        return config

    return with_description(content, change)


def a_description_too_deep(content: bytes, dice: random.Random) -> bytes:
    return _with_metadata(content, config=dice.choice(("[", '{"unet":')) * 100_000)


def another_format(content: bytes, dice: random.Random) -> bytes:
    formats = ("video_ldm.temporal_decoder", "video_ldm.temporal_layers", "pt", "")
    return _with_metadata(content, format=dice.choice(formats), version=dice.choice(("1", "2", "")))


def with_description(content: bytes, change: Callable[[dict], dict]) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    config = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["config"])
    return _with_metadata(content, config=json.dumps(change(config)))


def _with_metadata(content: bytes, **changed: str) -> bytes:
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"].update(changed)
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


ANY = (
    header_length,
    a_size,
    all_sizes_huge,
    more_axes,
    another_dtype,
    offsets,
    no_such_field,
    a_key_renamed,
    keys_lost,
    a_key_too_many,
    a_prefix_on_one,
    not_a_number,
    converted,
    reshaped,
)
