"""PyTorch files: opened only when they hold nothing but plain weights, and never larger in memory than on
disk."""

import pickle
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from ..errors import CheckpointFormatError

WRAPPERS = ("state_dict", "module", "controlnet", "ema", "model")  # keys under which trainers keep weights
ZIP = b"PK\x03\x04"
DEEPEST = 8  # wrappers around wrappers
LONGEST = 150  # of the parser's own words in a message
LEGACY_PICKLES = 5  # one after the other in a file from before PyTorch 1.6, before the bytes of its tensors
# all that a file of weights names; PyTorch lets more be called, some of which can be told to fill the memory
NEEDED = {
    ("collections", "OrderedDict"),
    ("collections", "Counter"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_parameter"),
    *((module, name) for module in ("builtins", "__builtin__") for name in ("set", "complex")),
}

# what damage does to the parsers of a pickle and of a zip
PARSER_ERRORS = (
    *(
        ArithmeticError,
        AssertionError,
        AttributeError,
        EOFError,
        LookupError,
        MemoryError,
        OSError,
        RuntimeError,
    ),
    *(TypeError, ValueError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile, zlib.error),
)


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a PyTorch file by name, looked for inside what trainers wrap around them; mapped where
    possible.

    Raises:
        CheckpointFormatError: it would run code, is damaged, or its tensors are not plain ones of the file's
            own size.
    """
    try:
        with path.open("rb") as file:
            is_zip = file.read(4) == ZIP  # as PyTorch tells them apart
        strange = sorted(
            f"{module}.{name}" for module, name in set(_called(path, is_zip)) if not _is_needed(module, name)
        )
        content = None if strange else torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except CheckpointFormatError:
        raise
    except PARSER_ERRORS as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        reason = f" ({reason[:LONGEST]})" if reason.isprintable() and reason else ""
        raise CheckpointFormatError(
            f"{path.name} is truncated or corrupt; download it again.{reason}"
        ) from None
    if strange:
        raise CheckpointFormatError(
            f"{path.name} is a pickle that would run code when opened, so it was not opened. It calls "
            f"{strange[0][:100]!r}. Use a safetensors file, or convert it where you trust it."
        )
    tensors = _collection(path, content)
    for key, tensor in tensors.items():
        _check_plain(path, key, tensor)
    return tensors


def _called(path: Path, is_zip: bool) -> Iterator[tuple[str, str]]:
    """What the pickles of a file name to be called, as (module, name), without calling any of it."""
    if not is_zip:
        with path.open("rb") as file:
            for _ in range(LEGACY_PICKLES):
                if not file.peek(1):
                    return
                yield from _globals(file)
        return
    with zipfile.ZipFile(path) as archive:
        for part in archive.infolist():
            if part.compress_type != zipfile.ZIP_STORED:
                raise CheckpointFormatError(
                    f"{path.name} is a compressed archive, which PyTorch never writes, and was not "
                    "unpacked. If it is a zip with a file of weights inside, unpack it and use that file."
                )
            if part.filename.endswith("data.pkl"):
                with archive.open(part) as file:
                    yield from _globals(file)


def _globals(file: BinaryIO) -> Iterator[tuple[str, str]]:
    strings: list[str] = []  # what the two strings before STACK_GLOBAL say
    for code, value, _ in pickletools.genops(file):
        if code.name in ("GLOBAL", "INST"):
            module, _, name = value.partition(" ")
            yield module, name
        elif code.name == "STACK_GLOBAL":
            yield tuple(strings[-2:]) if len(strings) > 1 else ("", "")
        elif isinstance(value, str):
            strings.append(value)


def _is_needed(module: str, name: str) -> bool:
    if (module, name) in NEEDED:
        return True
    return module == "torch" and (
        name.endswith("Storage") or isinstance(getattr(torch, name, None), torch.dtype)
    )


def _collection(path: Path, content: Any) -> dict[str, Tensor]:
    """The weights by name, out of what a trainer wrapped around them.

    A list of weights has numbers for names.
    """
    for _ in range(DEEPEST):
        inner = [
            content[key]
            for key in WRAPPERS
            if isinstance(content, dict) and isinstance(content.get(key), dict)
        ]
        if not inner:
            break
        content = inner[0]
    if isinstance(content, list) and content and all(isinstance(value, Tensor) for value in content):
        content = dict(enumerate(content))
    if not isinstance(content, dict):
        raise CheckpointFormatError(
            f"{path.name} holds a {type(content).__name__}, not a collection of weights."
        )
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}


def _check_plain(path: Path, key: str, tensor: Tensor) -> None:
    """A few bytes can claim to be a tensor of any size, which would fill the memory when it is first used."""
    size = tensor.numel() * tensor.element_size()
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or size > path.stat().st_size:
        raise CheckpointFormatError(
            f"{path.name}: {key[:100]} is not a plain tensor of the file's own bytes. It may be damaged, "
            "or quantized; use the file in half precision."
        )
