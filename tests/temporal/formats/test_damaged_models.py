"""Damaged files of whole video models.

Each ends in one sentence, or in weights that can be used, in little memory.
"""

import pytest
from safetensors.torch import save
from video_ldm.temporal import formats
from video_ldm.temporal.formats import lavie, lvdm, open_stack, open_video_model, upscale_a_video

from ... import damage
from ...damage_trial import trial
from . import tiny_models

pytestmark = pytest.mark.slow

OTHERS = [
    family
    for family in formats.model_families()
    if family.separable and family.label != ("ModelScope or ZeroScope", "diffusers")
]
UPSCALERS = [lavie.UPSCALER, upscale_a_video.UPSCALER]
FAMILIES = [*OTHERS, *UPSCALERS]


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(lvdm, "SHAPE", tiny_models.SHAPE)


def opened_as(name):
    """All weights of a file that must be this family when it can be used."""

    def opened(path):
        model = open_video_model(path)
        assert model.family == name
        return {**model.image, **(model.stack.state_dict() if model.stack else {})}

    return opened


def test_every_damaged_model_is_refused_in_a_sentence_or_can_be_used(tmp_path):
    good = save(tiny_models.modelscope_weights())
    ends = trial(
        tmp_path / "bad.bin", good, opened_as("ModelScope or ZeroScope"), [*damage.ANY, *damage.HEADERS] * 2
    )
    assert min(ends.values()) > 3, ends


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.family)
def test_so_is_every_other_family(monkeypatch, tmp_path, family):
    """Stable Video Diffusion is in tests/host/test_video_model.py: the host has its temporal layers."""
    families = tuple(tiny_models.narrow(f) if f is family else f for f in formats.FAMILIES)
    monkeypatch.setattr(formats, "FAMILIES", families)
    good = save(tiny_models.weights_of(tiny_models.narrow(family)))
    layers = family in UPSCALERS
    opened = (lambda path: open_stack(path)[0].state_dict()) if layers else opened_as(family.family)
    kinds = damage.HEADERS[FAMILIES.index(family) % 2 :: 2]  # the families share them
    assert trial(tmp_path / "bad.bin", good, opened, kinds)["refused"] > 3
