"""Strength of a MODEL's temporal layers, changed after they were loaded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .....temporal.errors import IncompatibleModelError
from .....temporal.sampling.schedules.amount import Change
from .settings import KEY

LAYERS = ALL, LAST = ("all", "last loaded")


def change_layers(model: Any, change: Change, layers: str) -> Any:
    """Clone of a MODEL whose temporal layers act otherwise in a part of the sampling.

    All layers, or those loaded last.

    Raises IncompatibleModelError when there are none.
    """
    loaded = model.get_attachment(KEY)
    if not loaded:
        raise IncompatibleModelError(
            "The MODEL has no temporal layers whose strength could change. Put Load Temporal Layers before "
            "Motion Strength."
        )
    kept = len(loaded) - 1 if layers == LAST else 0
    changed = [replace(settings, changes=(*settings.changes, change)) for settings in loaded[kept:]]
    patched = model.clone()
    patched.set_attachments(KEY, (*loaded[:kept], *changed))
    return patched
