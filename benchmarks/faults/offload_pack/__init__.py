"""A custom node folder for `host_flags` only: every weight stays where it is kept and is cast when used.

What --novram does, which ComfyUI refuses beside --cpu.
"""

import functools
import logging
from typing import Any

from comfy.model_patcher import ModelPatcher

ALMOST_NOTHING = 0.1  # bytes; what --novram hands over
NODE_CLASS_MAPPINGS: dict[str, type] = {}

_load = ModelPatcher.load


@functools.wraps(_load)
def load(
    self: ModelPatcher, device_to: Any = None, lowvram_model_memory: float = 0, *given: Any, **named: Any
) -> Any:
    """Load with no room for a single weight; `full_load` is last by place or by name."""
    named["full_load"] = False
    return _load(self, device_to, ALMOST_NOTHING, *given[:1], **named)


ModelPatcher.load = load
logging.info("every weight is offloaded")
