"""Keys of a file against those of the network it should hold.

What is missing, what is too much, what has another shape.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from ..errors import CheckpointFormatError
from ..stack.stack import TemporalStack
from ..weights.files import check_numbers, listed, shape_text, shown

# what checkpoints hold beside a UNet, by how its keys begin
BYSTANDERS = {
    "first_stage_model.": "of a VAE (not used)",
    "cond_stage_model.": "of a text encoder (not used)",
    "conditioner.": "of encoders (not used)",
    "embedder.": "of an image encoder (not used)",
    "model_ema.": "of averaged weights (not used)",
}
SCHEDULE = (
    "betas",
    "alphas_cumprod",
    "sqrt_",
    "log_one_minus_",
    "posterior_",
    "logvar",
    "lvlb_weights",
    "scale_arr",
)


def bystanders(keys: Iterable[str]) -> dict[str, str]:
    """Keys of a checkpoint that are of no UNet, and what they are."""
    found = {}
    for key in keys:
        kind = next((what for start, what in BYSTANDERS.items() if key.startswith(start)), None)
        if kind is None and "." not in key and key.startswith(SCHEDULE):
            kind = "of a noise schedule"
        if kind is not None:
            found[key] = kind
    return found


def check_keys(name: str, family: str, missing: set[str], extra: set[str]) -> None:
    """Refuse a file that is almost of a family, with the first keys in question."""
    if missing or extra:
        kinds = (("missing", missing), ("unknown", extra))
        found = "; ".join(f"{what}: {listed(keys)}" for what, keys in kinds if keys)
        raise CheckpointFormatError(
            f"{name} looks like {family}, but is damaged or another model built on it. {found}."
        )


def picked(
    name: str,
    family: str,
    tensors: Mapping[str, Tensor],
    keys: Mapping[str, str],
    shapes: Mapping[str, tuple[int, ...]],
) -> dict[str, Tensor]:
    """The weights of an image model by the host's names, from the file's `keys` by the host's.

    `shapes` as far as known.

    Raises:
        CheckpointFormatError: a weight has another shape, or is no finite floating-point number.
    """
    found = {host: tensors[key] for host, key in keys.items()}
    for host, tensor in found.items():
        check_shape(name, family, keys[host], tensor, shapes.get(host, tensor.shape))
        check_numbers(name, keys[host], tensor)
    return found


def check_shape(name: str, family: str, key: str, tensor: Tensor, expected: Sequence[int]) -> None:
    """Refuse a weight of another shape than the family's."""
    if tuple(tensor.shape) != tuple(expected):
        raise _wrong_shape(name, family, key, tensor, expected)


def _wrong_shape(
    name: str, family: str, key: str, tensor: Tensor, expected: Sequence[int]
) -> CheckpointFormatError:
    return CheckpointFormatError(
        f"{name}: {shown(key)} has shape {shape_text(tensor)}, but {family} has {tuple(expected)}. It may "
        "be damaged, or made for another image model."
    )


def joined(
    name: str, tensors: Mapping[str, Tensor], keys: Mapping[str, tuple[str, ...]], stack: TemporalStack
) -> Iterator[tuple[str, Tensor]]:
    """Our tensors from those of the file: the same memory, or several stacked into one.

    Axes of length one at the end do not count: a convolution of one point is a linear layer.
    """
    for key, parts in keys.items():
        first, *rest = stack.shapes[key]
        expected = torch.Size([first // len(parts), *rest])
        for part in parts:
            if without_points(tensors[part].shape) != without_points(expected):
                raise _wrong_shape(name, stack.config.family, part, tensors[part], expected)
        found = [tensors[part].reshape(expected) for part in parts]
        if len({part.dtype for part in found}) > 1:
            found = [part.float() for part in found]  # numbers of 8 bits cannot be joined with others
        yield key, found[0] if len(found) == 1 else torch.cat(found)


def without_points(shape: torch.Size) -> tuple[int, ...]:
    """A shape without axes of length one at its end."""
    sizes = list(shape)
    while sizes and sizes[-1] == 1:
        sizes.pop()
    return tuple(sizes)
