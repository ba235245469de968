"""PyTorch files, opened only when they hold plain weights alone.

They are never larger in memory than on disk.
"""

import pickle
import pickletools
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from ..errors import CheckpointFormatError

# keys under which trainers keep weights; where there are several, the first one counts
WRAPPERS = (
    "state_dict",
    "model_state_dict",
    "module",
    "controlnet",
    "ema",
    "params_ema",
    "model",
    "unet",
    "params",
)
ZIP = b"PK\x03\x04"
SHOWN, SHORT = 3, 40  # names of what a file holds that a message lists, and their letters
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
    *(("torch._utils", "_rebuild_tensor_v3"), ("torch.storage", "UntypedStorage")),  # numbers of 8 bits
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
    """The tensors of a PyTorch file by name, looked for inside what trainers wrap around them.

    Mapped where possible.

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
    """Names (module, name) that the pickles of a file ask to be called, without calling any of them."""
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


def _globals(file: IO[bytes]) -> Iterator[tuple[str, str]]:
    strings: list[str] = []  # what the two strings before STACK_GLOBAL say
    for code, value, _ in pickletools.genops(file):
        if code.name in ("GLOBAL", "INST"):
            module, _, name = str(value).partition(" ")
            yield module, name
        elif code.name == "STACK_GLOBAL":
            yield (strings[-2], strings[-1]) if len(strings) > 1 else ("", "")
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
        inner = _wrapped(path, content) if isinstance(content, dict) else None
        if inner is None:
            break
        content = inner
    if isinstance(content, list) and content and all(isinstance(value, Tensor) for value in content):
        content = dict(enumerate(content))
    if not isinstance(content, dict):
        raise CheckpointFormatError(
            f"{path.name} holds a {type(content).__name__}, not a collection of weights."
        )
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if content and not tensors:
        raise CheckpointFormatError(
            f"{path.name} holds no weights; it holds {_listed(content)}. Use the file of the weights "
            "themselves."
        )
    return tensors


def _wrapped(path: Path, content: dict[Any, Any]) -> dict[Any, Any] | None:
    """Content of the outermost wrapper; None where there is none.

    A wrapper of a name that nobody knows is opened where it alone holds weights.
    """
    known = [content[key] for key in WRAPPERS if isinstance(content.get(key), dict)]
    if known or any(isinstance(value, Tensor) for value in content.values()):
        return known[0] if known else None
    inside = {key: value for key, value in content.items() if isinstance(value, dict)}
    collections = {
        key: value
        for key, value in inside.items()
        if any(isinstance(part, Tensor) for part in value.values())
    }
    if not collections:
        collections = {
            key: value
            for key, value in inside.items()
            if any(isinstance(value.get(name), dict) for name in WRAPPERS)
        }
    if len(collections) > 1:
        raise CheckpointFormatError(
            f"{path.name} holds several collections of weights: {_listed(collections)}. Save the one of "
            "the temporal layers or of the model as a file of its own."
        )
    return next(iter(collections.values()), None)


def _listed(names: Iterable[Any]) -> str:
    """The first few names of what a file holds, short and printable."""
    names = [ascii(str(name)[:SHORT]) for name in names]
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _check_plain(path: Path, key: str, tensor: Tensor) -> None:
    """A few bytes can claim to be a tensor of any size, which would fill the memory when it is first used."""
    size = tensor.numel() * tensor.element_size()
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_meta or size > path.stat().st_size:
        raise CheckpointFormatError(
            f"{path.name}: {key[:100]} is not a plain tensor of the file's own bytes. It may be damaged, "
            "or quantized; use the file in half precision."
        )
