"""Files of weights, read without ever running what is in them and written in one step."""

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..errors import CheckpointFormatError
from ..finite import is_finite
from .pickles import read_pickle
from .whole_file import whole_file

SHOWN = 3  # how many names an error message lists
LONGEST_NAME = 120  # of what an error message shows
MOST_AXES = 6  # of a weight, and of what an error message shows
CHUNK = 2**18  # numbers looked at together
PIECE = 2**24  # bytes hashed together
# not in every PyTorch
PACKED = {getattr(torch, name, None) for name in ("float4_e2m1fn_x2", "float8_e8m0fnu")}


@dataclass(frozen=True)
class WeightsFile:
    """The tensors of a file and the notes beside them.

    Tensors are mapped from disk where the format allows it.
    """

    path: Path
    metadata: Mapping[str, str]
    tensors: Mapping[str, Tensor]


def read_weights(path: str | Path) -> WeightsFile:
    """Open a safetensors or PyTorch file, whatever its name ends in.

    Raises:
        CheckpointFormatError: no such file, truncated, corrupt, neither format, or a pickle that would run
            code.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointFormatError(f"There is no file at {path}.")
    with path.open("rb") as file:
        head = file.read(9)
    if head[8:] == b"{":
        return _readable(_read_safetensors(path, struct.unpack("<Q", head[:8])[0]))
    if head[:2] == b"PK" or head[:1] == b"\x80":
        return _readable(WeightsFile(path, {}, read_pickle(path)))
    raise CheckpointFormatError(
        f"{path.name} is not a file of weights: it is neither safetensors nor a PyTorch file. "
        "It may be a web page or a pointer saved in place of the file; download it again."
    )


def digest_of(path: Path) -> str:
    """First characters of a file's SHA-256, by which results say which file they come of."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
    return digest.hexdigest()[:12]


def write_weights(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write safetensors in one step, so that no half file is ever seen.

    Raises OutputError when the disk does not take it.
    """
    with whole_file(path) as partial:
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, partial, dict(metadata))


def assign_weights(
    module: nn.Module,
    tensors: Mapping[str, Tensor],
    name: str,
    shapes: Mapping[str, torch.Size],
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> None:
    """Give a module made on the meta device its weights, without a second copy.

    `shapes` by name are what it must get.

    Raises:
        CheckpointFormatError: a key is missing or too many, a shape differs, or a weight is not a finite
            number.
    """
    missing, unknown = shapes.keys() - tensors.keys(), tensors.keys() - shapes.keys()
    if missing or unknown:
        kinds = (("missing", missing), ("unknown", unknown))
        found = "; ".join(f"{what}: {listed(keys)}" for what, keys in kinds if keys)
        raise CheckpointFormatError(
            f"{name} does not hold the weights it describes and may be damaged. {found}."
        )
    for key, tensor in tensors.items():
        if tensor.shape != shapes[key]:
            raise CheckpointFormatError(
                f"{name}: {shown(key)} has shape {shape_text(tensor)}, but {tuple(shapes[key])} was expected "
                "from the file's own description. It may be damaged."
            )
        check_numbers(name, key, tensor)
    tensors = {key: tensor.to(device=device, dtype=dtype) for key, tensor in tensors.items()}
    module.load_state_dict(tensors, assign=True)


def check_numbers(name: str, key: str, tensor: Tensor) -> None:
    """Refuse a tensor that cannot be a weight.

    Looks at a few numbers at a time, so that no copy of it is made.

    Raises:
        CheckpointFormatError: whole numbers, truth values or complex numbers, or one that is not finite.
    """
    if not tensor.is_floating_point():
        raise CheckpointFormatError(
            f"{name}: {shown(key)} holds numbers of the kind {str(tensor.dtype).removeprefix('torch.')}, but "
            "weights are floating-point. It may be damaged, or quantized; use the file in half precision."
        )
    for part in tensor.flatten().split(CHUNK):
        if not is_finite(part):
            raise CheckpointFormatError(
                f"{name}: {shown(key)} is not finite (NaN or infinite). The training may have failed."
            )


def shown(name: str) -> str:
    """A name from a file, short and printable whatever it is."""
    name = name if name.isprintable() else ascii(name)
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."


def shape_text(tensor: Tensor) -> str:
    """The shape of a tensor for an error message."""
    sizes = ", ".join(map(str, tensor.shape[:MOST_AXES]))
    return f"({sizes}, ... in {tensor.ndim} axes)" if tensor.ndim > MOST_AXES else str(tuple(tensor.shape))


def listed(names: Iterable[str]) -> str:
    """The first few names and how many there are."""
    names = [shown(name) for name in sorted(names)]
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


def _readable(file: WeightsFile) -> WeightsFile:
    """The file, where PyTorch can compute with all of its numbers.

    Several of them packed into a byte are none, and of more than 64 axes it takes no copy.
    """
    for key, tensor in file.tensors.items():
        if tensor.ndim > MOST_AXES:
            raise CheckpointFormatError(
                f"{file.path.name}: {shown(key)} has shape {shape_text(tensor)}, but no weight has more than "
                f"{MOST_AXES}. It may be damaged; download or copy it again."
            )
        if tensor.dtype in PACKED:
            raise CheckpointFormatError(
                f"{file.path.name}: {shown(key)} holds numbers of the kind "
                f"{str(tensor.dtype).removeprefix('torch.')}, which are quantized; use the file in half "
                "precision."
            )
    return file
