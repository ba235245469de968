"""What image models are given beside noisy latents, their time and the tokens of their text.

Shapes: pooled (b p).
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class Conditions:
    """Pooled text for SDXL. None: the model has no use for it."""

    pooled: Tensor | None = None

    def to(self, device: torch.device | str) -> Conditions:
        """The same on a device."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return Conditions(
            **{name: None if value is None else value.to(device) for name, value in given.items()}
        )


NOTHING = Conditions()
