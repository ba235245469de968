"""Damaged motion modules in every spelling, and SparseCtrl's.

Each ends in one sentence or in weights that can be used.
"""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save
from torch import nn
from video_ldm.temporal.formats import convert, load_stack, motion_modules, sparse_control
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.stack.plan import UNetShape
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack

from ... import damage
from ...damage_trial import trial
from ..tiny import sine_init

TINY_SDXL = UNetShape(32, (1, 1, 1), (1, 1, 1), (0, 1, 1), (0, 0, 1, 1, 1, 1), 1, context_dim=24, num_heads=8)
SDXL = StackConfig(
    TINY_SDXL, "SDXL", 32, False, False, "AnimateDiff SDXL beta", motion=MotionConfig(False, True, False)
)
ADAPTERS = {
    "AnimateDiff v2 of diffusers": (damage.MOTION, "diffusers"),
    "AnimateDiff v3 of diffusers": (
        replace(damage.MOTION, family="AnimateDiff v3", motion=MotionConfig(False, False, False)),
        "diffusers",
    ),
    "AnimateDiff SDXL beta": (SDXL, "original"),
    "AnimateDiff SDXL beta of diffusers": (SDXL, "diffusers"),
    "HotShot-XL": (replace(SDXL, max_frames=24, family="HotShot-XL"), "hotshot"),
}


@pytest.fixture(autouse=True)
def tiny_bases(monkeypatch):
    monkeypatch.setattr(motion_modules, "BASES", {**damage.BASES, 3: ("SDXL", TINY_SDXL)})


@pytest.mark.slow
@pytest.mark.parametrize("name", ADAPTERS)
def test_motion_modules_in_every_spelling(tmp_path, name):
    config, spelling = ADAPTERS[name]
    path = tmp_path / "bad.bin"
    convert.write(path, sine_init(TemporalStack(config)).half(), spelling)
    ends = trial(path, path.read_bytes(), lambda path: load_stack(path).state_dict())
    assert ends["refused"] > 5, ends


@pytest.mark.parametrize("spelling", sparse_control.SPELLINGS, ids=lambda spelling: spelling.name)
def test_the_motion_modules_of_sparse_control(tmp_path, spelling):
    def opened(path):
        control = sparse_control.open_sparse_control(path, nn)
        return {**control.weights, **control.stack.state_dict()}

    ends = trial(tmp_path / "bad.bin", save(sparse_control_weights(spelling)), opened)
    assert ends["refused"] > 5, ends


def sparse_control_weights(spelling):
    """Motion modules as SparseCtrl has them, and one weight of the ControlNet."""
    motion = MotionConfig(middle=False, clip_norm=False, clip_norm_image=False, control=True)
    config = StackConfig(damage.TINY, "SD 1.x", 32, False, False, sparse_control.FAMILY, motion=motion)
    stack = sine_init(TemporalStack(config)).half()
    weights = {f"{sparse_control.EMBEDDING}.weight": torch.ones(32, 5, 3, 3)}
    own = stack.state_dict()
    for key, names in motion_modules.file_keys(stack, spelling).items():
        weights.update(zip(names, (part.clone() for part in own[key].chunk(len(names))), strict=True))
    return weights
