"""GLIGEN's boxes and temporal layers on one model: both count, and neither undoes the other."""

from __future__ import annotations

import pytest
import torch

from .. import stand_ins


@pytest.fixture(scope="module")
def boxed(host, rig):
    """CONDITIONING of the prompt with a box, by where the box begins."""
    path = host.base / "models" / "gligen" / "boxes.safetensors"
    path.parent.mkdir(exist_ok=True)
    stand_ins.write_gligen(path)
    model = host.call("GLIGENLoader", gligen_name=path.name)[0]
    path.unlink()

    def at(x):
        given = {"conditioning_to": rig.positive, "clip": rig.clip, "gligen_textbox_model": model}
        box = {"text": "a blue square", "x": x, "y": 16, "width": 16, "height": 32}
        return host.call("GLIGENTextBoxApply", **given, **box)[0]

    return at


def frames_that_differ(one, other) -> int:
    return int((one != other).flatten(1).any(1).sum())


@pytest.mark.parametrize(("scale", "strength"), [(0.0, 1.0), (0.1, 0.0)], ids=["fresh", "off"])
def test_layers_that_do_nothing_leave_boxes_as_the_host_makes_them(rig, boxed, scale, strength):
    layered = rig.with_layers(patcher=rig.stack(scale), strength=strength)
    assert torch.equal(rig.sample(layered, positive=boxed(8)), rig.sample(rig.model, positive=boxed(8)))


def test_boxes_and_layers_both_count_in_every_frame(rig, boxed):
    layered = rig.with_layers()
    both = rig.sample(layered, positive=boxed(8))
    others = {
        "no box": rig.sample(layered),
        "no layers": rig.sample(rig.model, positive=boxed(8)),
        "another box": rig.sample(layered, positive=boxed(32)),
    }
    for name, other in others.items():
        assert frames_that_differ(both, other) == len(both), name


def test_boxes_leave_nothing_on_the_model(rig, boxed):
    layered = rig.with_layers()
    before = rig.sample(layered)
    rig.sample(layered, positive=boxed(8))
    assert torch.equal(rig.sample(layered), before)
    assert rig.hooks_left() == 0
