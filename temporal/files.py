"""Files of weights, read without ever running what is in them and written in one step."""

import os
import pickle
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from .errors import CheckpointFormatError

SHOWN = 3  # how many names an error message lists


@dataclass(frozen=True)
class WeightsFile:
    """The tensors of a file and the notes beside them. Tensors are mapped from disk where the format allows it."""

    path: Path
    metadata: Mapping[str, str]
    tensors: Mapping[str, Tensor]


def read_weights(path: str | Path) -> WeightsFile:
    """Open a safetensors or PyTorch file, whatever its name ends in.

    Raises:
        CheckpointFormatError: no such file, truncated, corrupt, neither format, or a pickle that would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointFormatError(f"There is no file at {path}.")
    with path.open("rb") as file:
        head = file.read(9)
    if head[8:] == b"{":
        return _read_safetensors(path, struct.unpack("<Q", head[:8])[0])
    if head[:2] == b"PK" or head[:1] == b"\x80":
        return WeightsFile(path, {}, _read_pickle(path, is_zip=head[:1] == b"P"))
    raise CheckpointFormatError(
        f"{path.name} is not a file of weights: it is neither safetensors nor a PyTorch file. "
        "It may be a web page or a pointer saved in place of the file; download it again."
    )


def write_weights(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write safetensors beside the target and move it there, so that no half file is ever seen."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, partial, dict(metadata))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def assign_weights(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    name: str,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> None:
    """Give a module made on the meta device its weights, without a second copy.

    Raises:
        CheckpointFormatError: a key is missing or too many, a shape differs, or a weight is not a finite number.
    """
    expected = module.state_dict()
    missing, unknown = expected.keys() - tensors.keys(), tensors.keys() - expected.keys()
    if missing or unknown:
        kinds = (("missing", missing), ("unknown", unknown))
        found = "; ".join(f"{what}: {listed(keys)}" for what, keys in kinds if keys)
        raise CheckpointFormatError(
            f"{name} does not hold the weights it describes and may be damaged. {found}."
        )
    for key, tensor in tensors.items():
        if tensor.shape != expected[key].shape:
            raise CheckpointFormatError(
                f"{name}: {key} has shape {tuple(tensor.shape)}, but {tuple(expected[key].shape)} was expected "
                "from the file's own description. It may be damaged."
            )
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointFormatError(
                f"{name}: {key} is not finite (NaN or infinite). The training may have failed."
            )
    tensors = {key: tensor.to(device=device, dtype=dtype) for key, tensor in tensors.items()}
    module.load_state_dict(tensors, assign=True)


def listed(names: Iterable[str]) -> str:
    """The first few names and how many there are."""
    names = sorted(names)
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _read_safetensors(path: Path, header_size: int) -> WeightsFile:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}
            return WeightsFile(path, file.metadata() or {}, tensors)
    except (SafetensorError, OSError) as error:
        is_cut = path.stat().st_size < 8 + header_size or "incomplete" in str(error).lower()
        what = "truncated" if is_cut else "corrupt"
        raise CheckpointFormatError(f"{path.name} is {what}; download or copy it again. ({error})") from None


def _read_pickle(path: Path, is_zip: bool) -> dict[str, Tensor]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        if "Unsupported" in str(error) or "GLOBAL" in str(error):
            raise CheckpointFormatError(
                f"{path.name} is a pickle that would run code when opened, so it was not opened. "
                "Use a safetensors file, or convert it where you trust it."
            ) from None
        raise CheckpointFormatError(f"{path.name} is corrupt; download or copy it again.") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointFormatError(
            f"{path.name} is truncated or corrupt; download it again. ({error})"
        ) from None
    if isinstance(content, dict):
        content = content.get("state_dict", content)
    if not isinstance(content, dict):
        raise CheckpointFormatError(
            f"{path.name} holds a {type(content).__name__}, not a collection of weights."
        )
    return {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
