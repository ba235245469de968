"""Motion LoRA on the temporal layers of a MODEL, through the host's own adapters.

Low-rank until the weights are loaded.
"""

from __future__ import annotations

import logging
from typing import Any

import comfy.lora

from ....temporal.errors import IncompatibleModelError
from ....temporal.formats.motion_lora import is_for, read_motion_lora, report_lora
from ....temporal.weights.files import read_weights
from ..files import MOTION_LORA, full_path
from .attached.settings import KEY

logger = logging.getLogger(__name__)


def add_motion_lora(model: Any, name: str, strength: float) -> tuple[Any, str]:
    """Clone of a MODEL whose temporal layers are changed by a file in `models/motion_lora`.

    The second result is a report, which is also logged.

    Raises IncompatibleModelError when the MODEL has no layers that motion LoRAs are made for.
    """
    patchers = model.get_additional_models_with_key(KEY)
    if not patchers:
        raise IncompatibleModelError(
            "The MODEL has no temporal layers for a motion LoRA to change. Put Load Temporal Layers with "
            "an AnimateDiff file before this node."
        )
    file = read_weights(full_path(MOTION_LORA, name))
    changed = [patcher.clone() for patcher in patchers]
    takers = [patcher for patcher in changed if is_for(file, patcher.model)]
    reports = []
    for patcher in takers or changed[:1]:  # of which the first says why it cannot
        lora = read_motion_lora(file, patcher.model)
        patcher.add_patches(comfy.lora.load_lora(dict(lora.factors), dict(lora.targets)), strength)
        reports.append(report_lora(lora, patcher.model))
    text = "\n".join(reports)
    logger.info("%s: %s", name, text)
    patched = model.clone()
    patched.set_additional_models(KEY, changed)
    return patched, text
