"""Inputs of image models beside noisy latents, their time and the tokens of their text.

Shapes: pooled (b p); low_res ((b f) 3 h w); level ((b f),) integers.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor


@dataclass(frozen=True)
class Conditions:
    """Pooled text for SDXL; for an upscaler the small frames, as noisy as their level says.

    None: the model has no use for it.
    """

    pooled: Tensor | None = None
    low_res: Tensor | None = None
    level: Tensor | None = None

    def to(self, device: torch.device | str) -> Conditions:
        """Move to a device."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        return Conditions(
            **{name: None if value is None else value.to(device) for name, value in given.items()}
        )


NOTHING = Conditions()
