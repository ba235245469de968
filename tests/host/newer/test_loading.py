"""Weights of every kind load where the host's layers have none before (0.26, Windows and NVIDIA)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from video_ldm.demo import environment
from video_ldm.temporal import formats
from video_ldm.temporal.decoder import TAESD, DecoderConfig, TemporalDecoder, load_decoder, save_decoder
from video_ldm.temporal.errors import CheckpointFormatError
from video_ldm.temporal.formats import convert, lvdm, motion_modules
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.upscaler import load_upscaler, save_upscaler
from video_ldm.temporal.weights.files import read_weights, write_weights
from video_ldm.tests.temporal.formats import tiny_models
from video_ldm.tests.temporal.tiny import CONFIG, SHAPE, sine_init
from video_ldm.tests.temporal.upscaler.tiny import random_upscaler

from ..families import toy_families, video_rig
from .lazy_host import lazy_weights

TOY = environment.REPO / "demo" / "models"
MOTION = MotionConfig(True, False, False)
SEPARABLE = [family for family in formats.model_families() if family.separable]
WHOLE = {family.label[0]: family for family in SEPARABLE if family.label[1] == "original"}


@pytest.fixture
def ops(host, monkeypatch):
    """The host's layers, as lazy as on Windows."""
    import comfy.ops

    lazy_weights(monkeypatch)
    assert not comfy.ops.manual_cast.Linear(2, 3).state_dict()
    return comfy.ops.manual_cast


def native(path: Path, _monkeypatch):
    formats.save_stack(path, sine_init(TemporalStack(CONFIG)))
    return formats.load_stack


def motion(path: Path, monkeypatch):
    monkeypatch.setattr(motion_modules, "BASES", {len(SHAPE.channel_mult): ("SD 1.x", SHAPE)})
    config = StackConfig(SHAPE, "SD 1.x", 32, False, False, "AnimateDiff v2", motion=MOTION)
    convert.write(path, sine_init(TemporalStack(config)), "original")
    return formats.load_stack


def decoder(path: Path, _monkeypatch):
    save_decoder(path, sine_init(TemporalDecoder(DecoderConfig(TAESD, "SD"))))
    return load_decoder


def upscaler(path: Path, _monkeypatch):
    save_upscaler(path, random_upscaler())
    return load_upscaler


def whole(name: str):
    def write(path: Path, monkeypatch):
        monkeypatch.setattr(lvdm, "SHAPE", tiny_models.SHAPE)
        family = tiny_models.narrow(WHOLE[name])
        monkeypatch.setattr(formats, "FAMILIES", (family,))
        write_weights(path, tiny_models.weights_of(family), {})
        return formats.load_stack

    return write


KINDS = {
    **{maker.__name__: maker for maker in (native, motion, decoder, upscaler)},
    **{name: whole(name) for name in WHOLE},
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_file_gets_its_weights(ops, tmp_path, monkeypatch, kind):
    path = tmp_path / "file.safetensors"
    load = KINDS[kind](path, monkeypatch)
    expected, loaded = load(path).state_dict(), load(path, ops=ops).state_dict()
    assert expected.keys() == loaded.keys()
    assert all(torch.equal(loaded[key], weight) for key, weight in expected.items())


def test_a_file_that_is_damaged_is_still_called_so(ops, tmp_path):
    path = tmp_path / "file.safetensors"
    native(path, None)
    file = read_weights(path)
    name = next(key for key in file.tensors if key.endswith("qkv.weight"))
    lacking = {key: weight for key, weight in file.tensors.items() if key != name}
    for tensors, said in (
        (lacking, rf"may be damaged\. missing: {name}"),
        ({**file.tensors, "layers.x.bias": torch.zeros(1)}, r"may be damaged\. unknown: layers\.x\.bias"),
        ({**file.tensors, name: torch.zeros(3, 2)}, r"qkv\.weight has shape \(3, 2\), but \("),
    ):
        with pytest.raises(CheckpointFormatError, match=said):
            formats.stack_of(replace(file, tensors=tensors), ops)


def test_the_loaders_open_the_bundled_files(host, monkeypatch):
    model, _, vae = host.call("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors")
    lazy_weights(monkeypatch)
    patched = host.call(
        "VLDM_LoadTemporalLayers", model=model, file="toy_temporal.safetensors", strength=1.0
    )[0]
    assert host.call("VLDM_LoadTemporalDecoder", vae=vae, file="toy_decoder.safetensors")[0] is not vae
    schema = host.nodes["VLDM_LoadVideoUpscaler"].GET_SCHEMA()
    settings = {given.id: given.default for given in schema.inputs if given.id != "file"}
    assert host.call("VLDM_LoadVideoUpscaler", file="toy_upscaler.safetensors", **settings)
    stack = patched.get_additional_models()[0].model
    expected = formats.load_stack(TOY / "toy_temporal.safetensors").state_dict()
    assert {key: weight.shape for key, weight in stack.state_dict().items()} == dict(stack.shapes)
    assert all(torch.equal(stack.state_dict()[key], weight) for key, weight in expected.items())


def test_sparsectrl_gets_its_weights(host, monkeypatch, tmp_path):
    from video_ldm.nodes.host.layers import sparse_control

    toy = formats.load_stack(TOY / "toy_temporal.safetensors").config.unet
    weights = toy_families.sparse_control(toy)
    lazy_weights(monkeypatch)
    monkeypatch.setattr(motion_modules, "BASES", {len(toy.channel_mult): ("SD 1.x", toy)})
    write_weights(tmp_path / "sparse.safetensors", weights, {})
    control, _ = sparse_control.load_sparse_control(
        str(tmp_path / "sparse.safetensors"), sparse_control.Places("first")
    )
    loaded, own = control.control_model.state_dict(), control.control_model.stack.shapes
    assert {
        key.removeprefix("stack."): w.shape for key, w in loaded.items() if key.startswith("stack.")
    } == own
    assert torch.equal(loaded["time_embed.0.bias"], weights["time_embedding.linear_1.bias"])


def test_a_video_model_gets_its_weights(ops, monkeypatch, load_model):
    import comfy.supported_models as supported
    from video_ldm.temporal.stack import plan

    monkeypatch.setattr(supported, "models", [*supported.models, *video_rig.tiny_kinds()])
    monkeypatch.setattr(lvdm, "SHAPE", video_rig.tiny_shape(plan))
    weights = video_rig.modelscope().state_dict()
    model, _ = load_model(weights)
    loaded = model.model.diffusion_model.state_dict()
    assert torch.equal(loaded["time_embed.0.bias"], weights["time_embedding.linear_1.bias"])
    missing = {key: weight for key, weight in weights.items() if key != "time_embedding.linear_1.bias"}
    with pytest.raises(CheckpointFormatError, match="missing: time_embedding"):
        load_model(missing)
