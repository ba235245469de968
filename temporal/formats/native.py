"""Our own file: safetensors, a module's state dict, and its description as JSON in the metadata."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..errors import CheckpointFormatError
from ..stack.kinds import KINDS
from ..stack.stack import StackConfig, TemporalStack
from ..weights.files import WeightsFile, assign_weights, check_numbers, write_weights
from ..weights.shapes import weight_shapes
from .source import Layers, Source

FORMAT, VERSION = "video_ldm.temporal_layers", "1"
CHANGES = "image_changes."  # before the names of an image model's weights: what changed in them

Module = TypeVar("Module", bound=nn.Module)


class NativeFamily:
    """Temporal layers of any kind that we wrote, which their description tells."""

    separable = True
    label = ("Video LDM", "native")

    def recognise(self, file: WeightsFile) -> bool:
        """True if a file says it holds our temporal layers."""
        return file.metadata.get("format") == FORMAT

    def called(self, file: WeightsFile) -> str:
        """The name of this pack's layers."""
        return self.label[0]

    def load(
        self, file: WeightsFile, ops: Any, dtype: torch.dtype | None, device: torch.device | str | None
    ) -> Layers:
        """Build the stack that the file describes and give it the file's weights."""

        def describe(text: str) -> StackConfig:
            described = StackConfig.from_json(text)
            layers = sum(KINDS[site.kind].build is not None for site in described.sites)
            tensors = len(file.tensors)
            if layers > tensors:
                raise CheckpointFormatError(
                    f"{file.path.name} describes {layers} layers but holds {tensors} tensors. It may be "
                    "damaged."
                )
            return described

        changes = {key: value for key, value in file.tensors.items() if key.startswith(CHANGES)}
        own = {key: value for key, value in file.tensors.items() if key not in changes}
        stack = load_described(replace(file, tensors=own), describe, TemporalStack, ops, dtype, device)
        stack.changed_image = _changed_image(file.path.name, stack.config, changes)
        return Layers(stack, Source(self.label[1], len(file.tensors), note=_note(stack)))


NATIVE = NativeFamily()


def _changed_image(name: str, config: StackConfig, changes: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Changes of an image model in a file, by the names of its weights; they stay where they are."""
    if bool(changes) != (config.image_model is not None):
        held = "no changes of an image model" if config.image_model else "changes of an image model"
        raise CheckpointFormatError(
            f"{name} holds {held}, and its description says otherwise. It may be damaged."
        )
    for key, change in changes.items():
        check_numbers(name, key, change)
    return {key.removeprefix(CHANGES): change for key, change in changes.items()}


def _note(stack: TemporalStack) -> str:
    """Line of a report about an image model that was trained along."""
    count = sum(change.numel() for change in stack.changed_image.values())
    return f"Image model: trained along, {count / 1e6:.1f} M of its weights change" if count else ""


def save_stack(
    path: str | Path, stack: TemporalStack, extra_metadata: Mapping[str, str] | None = None
) -> None:
    """Write a stack to a file.

    `extra_metadata` (strings) is kept beside the description and means nothing to the loader.
    """
    trained = stack.image_changes is not None  # they are weights of the stack then
    beside = {} if trained else {f"{CHANGES}{key}": change for key, change in stack.changed_image.items()}
    save_described(path, stack, FORMAT, stack.config.to_json(), extra_metadata, beside)


def load_described(
    file: WeightsFile,
    describe: Callable[[str], Any],
    kind: Callable[..., Module],
    ops: Any,
    dtype: torch.dtype | None,
    device: torch.device | str | None,
) -> Module:
    """Build a module, `kind(config, ops)`, from a file's description and give it the file's weights."""
    version = file.metadata.get("version")
    if version != VERSION:
        raise CheckpointFormatError(
            f"{file.path.name} was written in version {version} of the format, but this pack reads version "
            f"{VERSION}. Update the pack."
        )
    config = describe(file.metadata.get("config", ""))
    module = kind(config, ops, device="meta")
    assign_weights(module, file.tensors, file.path.name, weight_shapes(kind, config), dtype, device)
    return module


def save_described(
    path: str | Path,
    module: nn.Module,
    format: str,
    config: str,
    extra_metadata: Mapping[str, str] | None,
    beside: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a module's weights with its description; `beside` are tensors that are none of the module's."""
    metadata = {**(extra_metadata or {}), "format": format, "version": VERSION, "config": config}
    write_weights(path, {**module.state_dict(), **(beside or {})}, metadata)
