"""Signs by which a file of weights is recognised: parts of its keys, and the size of one tensor."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Sign:
    """Rule that recognises a file by its keys and by one tensor's size.

    All of `parts`, any of `either` and none of `without` are among the keys.

    `sentence` says what the file is.
    """

    sentence: str
    parts: tuple[str, ...] = ()
    either: tuple[str, ...] = ()
    size: tuple[str, int, int] | None = None  # end of the name, axis, length
    without: tuple[str, ...] = ()

    def fits(self, tensors: Mapping[str, Tensor]) -> bool:
        """True when the tensors show all of it."""

        def inside(part: str) -> bool:
            return any(part in key for key in tensors)

        named = all(map(inside, self.parts)) and (not self.either or any(map(inside, self.either)))
        return named and not any(map(inside, self.without)) and self._has_size(tensors)

    def _has_size(self, tensors: Mapping[str, Tensor]) -> bool:
        if self.size is None:
            return True
        end, axis, length = self.size
        return any(
            key.endswith(end) and tensor.ndim > axis and tensor.shape[axis] == length
            for key, tensor in tensors.items()
        )
