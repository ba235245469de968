"""Layers inside transformers in our own format and in the spelling of their authors."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from video_ldm.formats.inspection import inspected
from video_ldm.temporal import formats
from video_ldm.temporal.formats import lavie, seine, upscale_a_video
from video_ldm.temporal.formats.unet_shapes import image_shapes
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack

from ..tiny import SHAPE, sine_init

FAMILIES = (lavie.BASE, lavie.INTERPOLATION, lavie.UPSCALER, seine.SEINE, upscale_a_video.UPSCALER)


def tiny(family):
    return replace(family, unet=SHAPE)


def published(family) -> dict[str, torch.Tensor]:
    """The temporal layers of a tiny family as its authors name them."""
    stack = sine_init(TemporalStack(family.stack_config()))
    weights, found = stack.state_dict(), {}
    for own, keys in family.temporal_keys(stack).items():
        along_frames = weights[own].ndim == 4 and weights[own].shape[-1] == 1 < weights[own].shape[-2]
        for key, part in zip(keys, weights[own].chunk(len(keys)), strict=True):
            found[key] = (part[..., None] if along_frames else part).clone()
    return found


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.family)
def test_the_description_survives(family):
    config = tiny(family).stack_config()
    assert StackConfig.from_json(config.to_json()) == config


@pytest.mark.slow
@pytest.mark.parametrize("family", [lavie.UPSCALER, upscale_a_video.UPSCALER], ids=lambda f: f.family)
def test_layers_for_the_upscaler_become_native_without_loss(tmp_path, monkeypatch, family):
    small = tiny(family)
    monkeypatch.setattr(formats, "FAMILIES", (formats.NATIVE, small))
    save_file(published(small), tmp_path / "in.safetensors")
    stack = formats.load_stack(tmp_path / "in.safetensors")
    formats.save_stack(tmp_path / "out.safetensors", stack)
    again, source = formats.open_stack(tmp_path / "out.safetensors")
    assert again.config == stack.config and source.spelling == "native"
    assert all(torch.equal(again.state_dict()[key], weight) for key, weight in stack.state_dict().items())
    expected = sine_init(TemporalStack(small.stack_config())).state_dict()
    assert all(torch.equal(expected[key], weight) for key, weight in stack.state_dict().items())


@pytest.mark.slow
def test_a_whole_model_is_written_again_without_loss(tmp_path, monkeypatch):
    small = tiny(seine.SEINE)
    shapes = image_shapes(small.unet, small.in_channels, linear=False)
    image = {key: torch.randn(shapes[host]) for host, key in small.image_keys().items()}
    weights = {**published(small), **image}
    torch.save({"ema": weights}, tmp_path / "seine.pt")
    monkeypatch.setattr(formats, "FAMILIES", (small,))
    inspected(tmp_path / "seine.pt").convert(tmp_path / "seine.safetensors", "original")
    again = load_file(tmp_path / "seine.safetensors")
    assert again.keys() == weights.keys() and all(torch.equal(again[key], weights[key]) for key in again)


@pytest.mark.slow
@pytest.mark.parametrize(
    "wrong", [torch.full((9,), torch.nan), torch.zeros(16, dtype=torch.int8), torch.tensor(1.0)]
)
def test_wrong_tables_of_positions_are_refused(tmp_path, monkeypatch, wrong):
    small = tiny(lavie.UPSCALER)
    monkeypatch.setattr(formats, "FAMILIES", (small,))
    save_file({**published(small), "temporal_rotary_emb.freqs": wrong}, tmp_path / "in.safetensors")
    with pytest.raises(formats.CheckpointFormatError, match="does not hold the rotary positions"):
        formats.load_stack(tmp_path / "in.safetensors")
