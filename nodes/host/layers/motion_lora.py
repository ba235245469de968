"""Motion LoRA on the temporal layers of a MODEL: low-rank factors that compute beside the layers.

The factors live in ModelPatchers of their own, so that the host loads, counts and offloads them; the layers
keep their weights, where a patch of the host would hold every changed weight twice.
"""

from __future__ import annotations

import logging
from typing import Any

import comfy.model_management as mm
import comfy.ops

from ....temporal.errors import IncompatibleModelError
from ....temporal.formats.motion_lora import (
    MotionLora,
    factor_pairs,
    is_for,
    read_motion_lora,
    report_lora,
)
from ....temporal.stack.low_rank import LowRankLayers
from ....temporal.stack.stack import TemporalStack
from ....temporal.weights.files import read_weights
from ..files import MOTION_LORA, full_path
from ..patcher import new_patcher
from .attached.settings import KEY, LORA_KEY

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
    path = full_path(MOTION_LORA, name)
    file = read_weights(path)
    takers = [index for index, patcher in enumerate(patchers) if is_for(file, patcher.model)]
    added, reports = [], []
    for index in takers or [0]:  # of which the first says why it cannot
        stack, load_device = patchers[index].model, patchers[index].load_device
        lora = read_motion_lora(file, stack)
        reports.append(report_lora(lora, stack))
        again = (motion_lora_again, (path, stack, strength))
        added.append(
            new_patcher(_factors(lora, stack, strength), mm.unet_offload_device(), load_device, again)
        )
    text = "\n".join(reports)
    logger.info("%s: %s", name, text)
    patched = model.clone()
    patched.set_additional_models(LORA_KEY, [*model.get_additional_models_with_key(LORA_KEY), *added])
    patched.set_attachments(LORA_KEY, (*(model.get_attachment(LORA_KEY) or ()), *(takers or [0])))
    return patched, text


def motion_lora_again(path: str, stack: TemporalStack, strength: float, disable_dynamic: bool = False) -> Any:
    """One more patcher, with weights of its own, of a motion LoRA for a stack."""
    factors = _factors(read_motion_lora(read_weights(path), stack), stack, strength)
    return new_patcher(factors, mm.unet_offload_device(), dynamic=not disable_dynamic)


def _factors(lora: MotionLora, stack: TemporalStack, strength: float) -> LowRankLayers:
    """A motion LoRA as layers of the host, beside those of a stack."""
    return LowRankLayers(stack, factor_pairs(lora, strength), comfy.ops.manual_cast)


def motion_loras_of(model: Any, index: int) -> list[LowRankLayers]:
    """Motion LoRAs on a stack of a MODEL, in the order they were added."""
    patchers = model.get_additional_models_with_key(LORA_KEY)
    which = model.get_attachment(LORA_KEY) or ()
    return [patcher.model for patcher, on in zip(patchers, which, strict=True) if on == index]
