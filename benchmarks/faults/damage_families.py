"""Good files of the families that the first ten thousand damaged files had none of, and how each is opened.

They are tiny: Stable Video Diffusion, the LVDM line, LaVie, Upscale-A-Video, SparseCtrl, SDXL adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save
from torch import Tensor, nn

from ...temporal import formats
from ...temporal.formats import (
    convert,
    load_stack,
    lvdm,
    motion_modules,
    open_stack,
    open_video_model,
    sparse_control,
    svd,
)
from ...temporal.stack.stack import TemporalStack
from ...tests import damage
from ...tests.temporal.formats import test_damaged_adapters as adapters
from ...tests.temporal.formats import test_damaged_models as models
from ...tests.temporal.formats import tiny_models
from ...tests.temporal.tiny import sine_init

Opened = Callable[[Path], Mapping[str, Tensor]]
BASES = {**damage.BASES, 3: ("SDXL", adapters.TINY_SDXL)}


@contextmanager
def narrowed() -> Iterator[None]:
    """The pack told that published models have the sizes of the good files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(motion_modules, "BASES", BASES)
        for module in (lvdm, svd):
            patch.setattr(module, "SHAPE", tiny_models.SHAPE)
        small = [tiny_models.narrow(f) if f in models.FAMILIES else f for f in formats.FAMILIES]
        patch.setattr(formats, "FAMILIES", tuple(small))
        yield


def made(folder: Path) -> dict[str, tuple[bytes, Opened]]:
    """Bytes of the good files by name, and how each is opened; inside `narrowed`."""
    found: dict[str, tuple[bytes, Opened]] = {
        "Stable Video Diffusion": (save(tiny_models.svd_weights()), video_model),
        "ModelScope": (save(tiny_models.modelscope_weights()), video_model),
    }
    for family in models.FAMILIES:
        weights = tiny_models.weights_of(tiny_models.narrow(family))
        name = f"{family.family} ({'layers' if family in models.UPSCALERS else family.label[1]})"
        found[name] = (save(weights), layers if family in models.UPSCALERS else video_model)
    for name, (config, spelling) in adapters.ADAPTERS.items():
        convert.write(folder / "adapter", sine_init(TemporalStack(config)).half(), spelling)
        found[name] = ((folder / "adapter").read_bytes(), lambda path: load_stack(path).state_dict())
    for spelling in sparse_control.SPELLINGS:
        good = save(adapters.sparse_control_weights(spelling))
        found[f"SparseCtrl ({spelling.name})"] = (good, control)
    return found


def video_model(path: Path) -> dict[str, Tensor]:
    """All weights of a file with an image model."""
    model = open_video_model(path)
    return {**model.image, **(model.stack.state_dict() if model.stack else {})}


def layers(path: Path) -> dict[str, Any]:
    """Weights of layers for the x4 upscaler."""
    return open_stack(path)[0].state_dict()


def control(path: Path) -> dict[str, Tensor]:
    """All weights of SparseCtrl."""
    opened = sparse_control.open_sparse_control(path, nn)
    return {**opened.weights, **opened.stack.state_dict()}
