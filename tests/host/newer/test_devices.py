"""A second device: what newer hosts ask of a patcher to compute on several.

In 0.26 these are MultiGPU CFG Split and Select Model Device.

They make one more patcher of the file, with weights of its own, and clone the rest. On older hosts a stand-in
does so.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from video_ldm.demo import environment

from ..families import toy_families, video_rig

TOY = environment.REPO / "demo" / "models"
OTHER = torch.device("cpu:0")  # another name of the same device


@pytest.fixture(autouse=True)
def clones_know_their_file(host, monkeypatch):
    """Let clones know their file, like those of newer hosts."""
    from comfy.model_patcher import ModelPatcher

    if not hasattr(ModelPatcher, "deepclone_multigpu"):
        inner = ModelPatcher.clone

        def clone(self: Any) -> Any:
            made = inner(self)
            made.cached_patcher_init = getattr(self, "cached_patcher_init", None)
            return made

        monkeypatch.setattr(ModelPatcher, "clone", clone)


def on_other_device(patcher: Any) -> Any:
    """A patcher for another device."""
    if hasattr(patcher, "deepclone_multigpu"):
        return patcher.deepclone_multigpu(OTHER)
    make, given = patcher.cached_patcher_init
    clone = patcher.clone()
    clone.model, clone.load_device = make(*given).model, OTHER
    for key, models in clone.additional_models.items():
        clone.additional_models[key] = [on_other_device(model) for model in models]
    return clone


def assert_apart(first: nn.Module, second: nn.Module) -> None:
    """Two modules have equal weights, in memory of their own."""
    one, other = first.state_dict(), second.state_dict()
    assert one.keys() == other.keys() and first is not second
    for name, weight in one.items():
        assert torch.equal(weight, other[name])
        assert weight.data_ptr() != other[name].data_ptr()


@pytest.fixture
def loaded(host):
    """MODEL and VAE of the toy checkpoint with temporal layers and decoder."""
    model, _, vae = host.call("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors")
    layers = {"file": "toy_temporal.safetensors", "strength": 1.0}
    if getattr(model, "cached_patcher_init", None) is None:  # the host's own part, on an older one
        model.cached_patcher_init = (
            lambda: host.call("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors")[0],
            (),
        )
    return (
        host.call("VLDM_LoadTemporalLayers", model=model, **layers)[0],
        host.call("VLDM_LoadTemporalDecoder", vae=vae, file="toy_decoder.safetensors")[0],
    )


def test_layers_go_along(loaded, rig):
    model, _ = loaded
    other = on_other_device(model)
    (own,), (theirs,) = model.get_additional_models(), other.get_additional_models()
    assert other.load_device == theirs.load_device == OTHER
    assert_apart(own.model, theirs.model)
    assert torch.equal(rig.sample(other), rig.sample(model))


def test_a_decoder_goes_along(loaded):
    _, vae = loaded
    assert_apart(vae.patcher.model, on_other_device(vae.patcher).model)


def test_a_video_model_and_its_layers_go_along(host, monkeypatch, load_model):
    import comfy.supported_models as supported
    from comfy.model_base import BaseModel
    from video_ldm.temporal.formats import lvdm
    from video_ldm.temporal.stack import plan

    monkeypatch.setattr(supported, "models", [*supported.models, *video_rig.tiny_kinds()])
    monkeypatch.setattr(lvdm, "SHAPE", video_rig.tiny_shape(plan))
    model, _ = load_model(video_rig.modelscope().state_dict())
    other = on_other_device(model)
    assert isinstance(other.model, BaseModel)
    assert_apart(model.model, other.model)
    assert_apart(model.get_additional_models()[0].model, other.get_additional_models()[0].model)
    assert torch.equal(other.model.model_sampling.sigmas, model.model.model_sampling.sigmas)


def test_an_upscaler_is_made_again(host):
    from video_ldm.nodes.host.film.upscaler import open_upscaler
    from video_ldm.temporal.upscaler import UpscaleSettings

    patcher = open_upscaler("toy_upscaler.safetensors", UpscaleSettings()).patcher
    assert_apart(patcher.model, on_other_device(patcher).model)


def test_weights_are_loaded_at_once_where_the_host_wants_it(host, monkeypatch):
    """Conditioning hooks on a host that loads weights as they are needed."""
    import comfy.model_patcher as host_patcher
    from video_ldm.nodes.host.files import open_temporal_layers

    class Dynamic(host_patcher.ModelPatcher):
        pass

    monkeypatch.setattr(host_patcher, "CoreModelPatcher", Dynamic, raising=False)
    patcher = open_temporal_layers("toy_temporal.safetensors").patcher
    make, given = patcher.cached_patcher_init
    assert type(patcher) is type(make(*given)) is Dynamic
    assert type(make(*given, disable_dynamic=True)) is host_patcher.ModelPatcher


def test_a_video_model_is_loaded_as_the_host_loads_its_own(host, monkeypatch, load_model):
    import comfy.model_patcher as host_patcher
    import comfy.supported_models as supported
    from video_ldm.temporal.formats import lvdm
    from video_ldm.temporal.stack import plan

    class Dynamic(host_patcher.ModelPatcher):
        pass

    monkeypatch.setattr(host_patcher, "CoreModelPatcher", Dynamic, raising=False)
    monkeypatch.setattr(supported, "models", [*supported.models, *video_rig.tiny_kinds()])
    monkeypatch.setattr(lvdm, "SHAPE", video_rig.tiny_shape(plan))
    model, _ = load_model(video_rig.modelscope().state_dict())
    assert type(model) is type(model.get_additional_models()[0]) is Dynamic


def test_layers_load_where_their_image_model_computes(host):
    model = host.call("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors")[0].clone()
    model.load_device = OTHER
    layers = {"file": "toy_temporal.safetensors", "strength": 1.0}
    patched = host.call("VLDM_LoadTemporalLayers", model=model, **layers)[0]
    assert patched.get_additional_models()[0].load_device == OTHER


class Needed:
    """A MODEL whose weights are loaded as they are needed, and another one that loads them at once."""

    def __init__(self, model: Any, at_once: Any = None) -> None:
        self.model, self.load_device = model.model, model.load_device
        self.get_non_dynamic_delegate = lambda: at_once

    def is_dynamic(self) -> bool:
        return True


def test_training_has_all_weights_at_once(host):
    from video_ldm.nodes.host.training.unet import frozen_unet

    first, second = (host.call("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors")[0] for _ in range(2))
    assert frozen_unet(Needed(first, second)) is second.model.diffusion_model


def test_layers_on_another_device_than_the_image_model_are_refused(loaded, rig):
    model, _ = loaded
    (layers,) = model.get_additional_models()
    layers.load_device, layers.is_dynamic = OTHER, lambda: True
    with pytest.raises(ValueError, match=r"computes on cpu, its temporal layers on cpu:0\. Put"):
        rig.sample(model)


def test_sparsectrl_goes_along_with_its_window(host, monkeypatch, tmp_path):
    from video_ldm.nodes.host.layers import sparse_control
    from video_ldm.temporal import formats
    from video_ldm.temporal.formats import motion_modules
    from video_ldm.temporal.weights.files import write_weights

    toy = formats.load_stack(TOY / "toy_temporal.safetensors").config.unet
    monkeypatch.setattr(motion_modules, "BASES", {len(toy.channel_mult): ("SD 1.x", toy)})
    write_weights(tmp_path / "sparse.safetensors", toy_families.sparse_control(toy), {})
    control, _ = sparse_control.load_sparse_control(
        str(tmp_path / "sparse.safetensors"), sparse_control.Places("first")
    )
    control.multigpu_clones = {}
    other = control.deepclone_multigpu(OTHER, autoregister=True)
    assert_apart(control.control_model, other.control_model)
    assert other.control_model_wrapped.load_device == OTHER
    assert other.control_model_wrapped.model is other.control_model
    window = control.for_window([2, 3], 8)
    assert window.multigpu_clones[OTHER].window == window.window == ([2, 3], 8)
    assert control.multigpu_clones == {OTHER: other} and other.window is None
