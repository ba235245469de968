"""The toy checkpoint, and the pack's loaders on weights that a test makes and writes as a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file
from torch import Tensor

Weights = dict[str, Tensor]
NAME = "under_test.safetensors"


@pytest.fixture(scope="module")
def rig(host) -> Any:
    """The toy checkpoint as the host's loader opens it, anew for every file of tests."""
    from .rig import Rig

    return Rig()


@pytest.fixture
def load_model(host) -> Iterator[Callable[..., Any]]:
    """Load Video Model: MODEL and report."""
    from video_ldm.nodes.video_model import LoadVideoModel

    path = host.base / "models" / "diffusion_models" / NAME

    def load(weights: Weights, **inputs: Any) -> Any:
        written(path, weights)
        return LoadVideoModel.execute(NAME, **inputs).result

    yield load
    path.unlink(missing_ok=True)


@pytest.fixture
def load_layers(host) -> Iterator[Callable[..., Any]]:
    """Load Temporal Layers on a MODEL: MODEL and report."""
    from video_ldm.nodes.load import LoadTemporalLayers

    path = host.base / "models" / "temporal_layers" / NAME

    def load(model: Any, weights: Weights, strength: float = 1.0, **inputs: Any) -> Any:
        written(path, weights)
        return LoadTemporalLayers.execute(model, NAME, strength, **inputs).result

    yield load
    path.unlink(missing_ok=True)


def written(path: Path, weights: Weights) -> None:
    """A safetensors file of weights that may share memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.contiguous() for key, value in weights.items()}, path)
