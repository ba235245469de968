"""The questions that every family of weights answers: one kind of file, in one spelling of its keys.

A family is temporal layers, or a whole video model. Loading, inspection and conversion know no more of it;
`FAMILIES` in `formats/__init__.py` lists them all.
"""

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..weights.files import WeightsFile
from .source import Layers
from .video_model import VideoModel


class Family(Protocol):
    """A family of weights in one spelling; it sees files without what trainers put before names."""

    @property
    def separable(self) -> bool:
        """True if its temporal layers can be loaded by themselves."""
        ...

    @property
    def label(self) -> tuple[str, str]:
        """Family, or kind of families where only a file tells, and spelling."""
        ...

    def recognise(self, file: WeightsFile) -> bool:
        """True if a file is of this family and so spelled."""
        ...

    def called(self, file: WeightsFile) -> str:
        """Name the family of a file that is of it, as an artist would."""
        ...

    def load(
        self, file: WeightsFile, ops: Any, dtype: torch.dtype | None, device: torch.device | str | None
    ) -> Layers | VideoModel:
        """The weights of a file that is of it.

        `dtype` and `device` default to the file's and the CPU.

        Raises:
            CheckpointFormatError: a key is missing, unknown or of another shape.
        """
        ...


@runtime_checkable
class ModelFamily(Family, Protocol):
    """A family of whole video models, respelled key by key; layers alone are respelled from their stack."""

    def load(
        self, file: WeightsFile, ops: Any, dtype: torch.dtype | None, device: torch.device | str | None
    ) -> VideoModel:
        """The image model and its temporal layers; otherwise as of every family."""
        ...

    def respelled(self, tensors: Mapping[str, Tensor], target: Any) -> dict[str, Tensor]:
        """The weights of a file under the names of `target`, the same family in another spelling."""
        ...
