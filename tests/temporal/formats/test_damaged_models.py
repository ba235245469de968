"""Damaged files of a whole video model: each ends in one sentence, or in weights that can be used, in little memory."""

import random
from collections import Counter

import pytest
import torch
from safetensors.torch import save
from video_ldm.temporal import formats
from video_ldm.temporal.errors import VideoLDMError
from video_ldm.temporal.formats import lavie, lvdm, open_stack, open_video_model, svd, upscale_a_video

from ... import damage
from ...memory import MB, Peak
from . import tiny_models

SEEDS = 3  # of every kind of damage
MEMORY = 100 * MB  # the file has 2 MB


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    for family in (lvdm, svd):
        monkeypatch.setattr(family, "SHAPE", tiny_models.SHAPE)


def test_every_damaged_model_is_refused_in_a_sentence_or_can_be_used(tmp_path):
    good, ends, path = save(tiny_models.modelscope_weights()), Counter(), tmp_path / "bad.bin"
    path.write_bytes(good)
    assert open_video_model(path).family == "ModelScope or ZeroScope"
    peak = Peak()
    for kind in (*damage.ANY, *damage.HEADERS):
        for seed in range(SEEDS):
            path.unlink(missing_ok=True)
            path.write_bytes(kind(good, random.Random(seed)))
            try:
                model = open_video_model(path)
            except VideoLDMError as error:
                ends["refused"] += 1
                assert str(error).isprintable() and len(str(error)) < 1200, (kind, seed, str(error))
            else:
                ends["used"] += 1
                weights = (*model.image.values(), *model.stack.state_dict().values())
                assert all(bool(torch.isfinite(weight.float()).all()) for weight in weights), (kind, seed)
    assert min(ends["refused"], ends["used"]) > 5, ends
    assert peak.bytes() < MEMORY


OTHERS = [family for family in formats.SEPARABLE if family.label != ("ModelScope or ZeroScope", "diffusers")]
UPSCALERS = [lavie.UPSCALER, upscale_a_video.UPSCALER]


def name_of(family):
    return family.label[0] if family is svd.DIFFUSERS else family.family


@pytest.mark.parametrize("family", [*OTHERS, svd.DIFFUSERS, *UPSCALERS], ids=name_of)
def test_so_is_every_other_family(monkeypatch, tmp_path, family):
    for name in ("FAMILIES", "SEPARABLE", "VIDEO_MODELS"):
        families = tuple(tiny_models.narrow(f) if f is family else f for f in getattr(formats, name))
        monkeypatch.setattr(formats, name, families)
    good, ends, path = (
        save(tiny_models.weights_of(tiny_models.narrow(family))),
        Counter(),
        tmp_path / "bad.bin",
    )

    def opened():
        if family in UPSCALERS:
            return open_stack(path)[0].state_dict()
        model = open_video_model(path)
        assert model.family == name_of(family)
        return {**model.image, **(model.stack.state_dict() if model.stack else {})}

    path.write_bytes(good)
    assert opened()
    peak = Peak()
    for kind in (*damage.ANY, *damage.HEADERS):
        path.unlink(missing_ok=True)
        path.write_bytes(kind(good, random.Random(0)))
        try:
            weights = opened()
        except VideoLDMError as error:
            ends["refused"] += 1
            assert str(error).isprintable() and len(str(error)) < 1200, (kind, str(error))
        else:
            ends["used"] += 1
            assert all(bool(torch.isfinite(weight.float()).all()) for weight in weights.values()), kind
    assert ends["refused"] > 5, ends
    assert peak.bytes() < MEMORY
