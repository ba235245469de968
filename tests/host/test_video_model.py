"""Load Video Model: whole video models through the node into the host's UNet, against diffusers with the same weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from . import video_rig as rig

TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def tiny_sizes(host, monkeypatch):
    """The families in a size for tests, and the host told of it as of any other model."""
    import comfy.supported_models as supported
    from video_ldm.temporal.formats import lvdm, svd

    sizes = {"context_dim": rig.TEXT, "model_channels": 32}
    heads = {"num_heads": -1, "num_head_channels": rig.HEAD}
    tiny = type(
        "TinySD2",
        (supported.SD20,),
        {"unet_config": {**supported.SD20.unet_config, **sizes}, "unet_extra_config": heads},
    )
    monkeypatch.setattr(supported, "models", [*supported.models, tiny])
    monkeypatch.setattr(lvdm, "SHAPE", rig.TINY)
    monkeypatch.setattr(svd, "SHAPE", rig.TINY)


@pytest.fixture
def load(host):
    """Load Video Model on weights written as a file into the host's folder: MODEL and report."""
    from video_ldm.nodes.video_model import LoadVideoModel

    path = host.base / "models" / "diffusion_models" / "video_under_test.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)

    def load(weights, **inputs):
        save_file({key: value.contiguous() for key, value in weights.items()}, path)
        return LoadVideoModel.execute(path.name, **inputs).result

    yield load
    path.unlink(missing_ok=True)


@pytest.mark.parametrize("frames", [1, 3, 5])
@pytest.mark.parametrize("spelling", ["original", "diffusers"])
def test_modelscope_is_the_reference(load, spelling, frames):
    unet = rig.modelscope()
    weights = rig.modelscope_as_published(unet) if spelling == "original" else unet.state_dict()
    model, report = load(weights)
    assert report.startswith(f"ModelScope or ZeroScope ({spelling} file)")
    assert f"Keys: {len(weights)} used" in report and "CC-BY-NC" in report
    call = rig.one_call(model, frames)
    assert rig.error(call.out, rig.modelscope_out(unet, call, frames)) < TOLERANCE


def test_at_strength_zero_it_is_the_image_model_alone(load):
    weights = rig.modelscope().state_dict()
    model, _ = load(weights, strength=0.0)
    plain = model.clone()
    plain.additional_models, plain.wrappers, plain.attachments = {}, {}, {}
    assert torch.equal(rig.one_call(model).out, rig.one_call(plain).out)
    assert rig.error(rig.one_call(load(weights)[0]).out, rig.one_call(plain).out) > 0.01
