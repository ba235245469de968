"""Values that travel beside a text to the model, split into batches and windows by the host as it does its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def with_model_conds(conditioning: list, conds: Mapping[str, Any], **options: Any) -> list:
    """CONDITIONING with `conds` (of `comfy.conds`, by name) and further options on every text; the input stays as it was."""
    return [
        [text, {**own, **options, "model_conds": {**own.get("model_conds", {}), **conds}}]
        for text, own in conditioning
    ]
