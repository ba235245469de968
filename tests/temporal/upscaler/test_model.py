"""The upscaler's UNet: identity at birth in time, local in space, and its file."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from video_ldm.temporal.decoder import TAESD, DecoderConfig, TemporalDecoder, load_decoder, save_decoder
from video_ldm.temporal.errors import CheckpointFormatError
from video_ldm.temporal.sampling.clip import Clip
from video_ldm.temporal.upscaler import UpscalerConfig, VideoUpscaler, load_upscaler, save_upscaler
from video_ldm.tests.temporal.upscaler.tiny import TINY, inputs, random_upscaler


@pytest.mark.parametrize("num_frames", [1, 3, 5])
@pytest.mark.parametrize("config", [TINY, replace(TINY, patch=1), replace(TINY, scale=2, patch=2)])
def test_new_temporal_layers_change_nothing(config, num_frames):
    upscaler = random_upscaler(config)
    for name, parameter in VideoUpscaler(config).named_parameters():
        if ".temporal." in name:
            upscaler.get_parameter(name).data.copy_(parameter)
    given = inputs(config, num_frames)
    per_frame = upscaler(*given, Clip(num_frames, strength=0.0))
    assert per_frame.shape == given[0].shape
    assert torch.equal(upscaler(*given, Clip(num_frames)), per_frame)


def test_a_new_upscaler_sees_edges_of_the_given_frame_and_neither_noise_nor_flat_colour():
    conv = VideoUpscaler(TINY).conv_in
    noisy, given = torch.randn(1, 3 * TINY.patch**2, 6, 6), torch.rand(1, 3, 1, 1).expand(1, 3, 6, 6)
    with torch.no_grad():
        flat = conv(torch.cat([noisy, given], dim=1))[..., 1:-1, 1:-1]
        edge = conv(torch.cat([noisy, given * (torch.arange(6) < 3)], dim=1))[..., 1:-1, 1:-1]
    torch.testing.assert_close(flat, conv.bias.reshape(1, -1, 1, 1).expand_as(flat))
    assert not torch.allclose(edge, flat, atol=0.1)


def test_trained_temporal_layers_let_frames_see_each_other():
    upscaler = random_upscaler()
    noisy, *rest = inputs(TINY, 3)
    other = noisy.clone()
    other[2] += 1
    first = (upscaler(x, *rest, Clip(3))[0] for x in (noisy, other))
    assert not torch.allclose(*first)
    alone = (upscaler(x, *rest, Clip(3, strength=0.0))[0] for x in (noisy, other))
    assert torch.equal(*alone)


def test_clips_of_a_batch_do_not_mix():
    upscaler = random_upscaler()
    given = inputs(TINY, 6)
    both = upscaler(*given, Clip(3))
    for clip in (slice(0, 3), slice(3, 6)):
        torch.testing.assert_close(both[clip], upscaler(*(x[clip] for x in given), Clip(3)))


@pytest.mark.parametrize("config", [TINY, replace(TINY, channel_mult=(1, 1, 2)), replace(TINY, patch=2)])
def test_nothing_beyond_the_reach_matters(config):
    """A change of the input is felt up to `reach` given pixels away, and not one further."""
    upscaler = random_upscaler(config)
    side = 4 * config.reach + 8
    side += -side % config.multiple
    noisy, given, time, level = inputs(config, 1, side, config.multiple * 4)
    with torch.no_grad():
        before = upscaler(noisy, given, time, level, Clip(1))
        noisy[..., : config.scale * (side // 2), :] += 1
        given[..., : side // 2, :] += 1
        after = upscaler(noisy, given, time, level, Clip(1))
    changed = (before != after).any(dim=1).any(dim=0).any(dim=1)
    edge = config.scale * (side // 2 + config.reach)
    assert not changed[edge:].any()
    assert changed[edge - config.scale * 2 * config.reach :].any()


def test_every_weight_matters():
    upscaler = random_upscaler()
    upscaler(*inputs(TINY, 3), Clip(3)).square().mean().backward()
    silent = [name for name, p in upscaler.named_parameters() if p.grad is None or not p.grad.any()]
    assert not silent
    halves = [set(map(id, part)) for part in (upscaler.spatial_parameters(), upscaler.temporal_parameters())]
    assert not halves[0] & halves[1]
    assert halves[0] | halves[1] == set(map(id, upscaler.parameters()))


def test_a_file_comes_back_as_it_was(tmp_path):
    upscaler = random_upscaler()
    save_upscaler(tmp_path / "up.safetensors", upscaler, {"step": "7"})
    loaded = load_upscaler(tmp_path / "up.safetensors")
    assert loaded.config == upscaler.config
    for name, value in upscaler.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_other_files_are_refused_with_what_they_are(tmp_path):
    decoder = TemporalDecoder(DecoderConfig(TAESD, "SD"))
    save_decoder(tmp_path / "decoder.safetensors", decoder)
    with pytest.raises(
        CheckpointFormatError, match=r"no video upscaler: it is a temporal decoder.*temporal_decoders"
    ):
        load_upscaler(tmp_path / "decoder.safetensors")
    save_upscaler(tmp_path / "up.safetensors", random_upscaler())
    with pytest.raises(
        CheckpointFormatError, match=r"no temporal decoder: it is a video upscaler.*video_upscalers"
    ):
        load_decoder(tmp_path / "up.safetensors")
    weights = load_file(tmp_path / "up.safetensors")
    save_file(weights, tmp_path / "nameless.safetensors")
    with pytest.raises(CheckpointFormatError, match="no video upscaler"):
        load_upscaler(tmp_path / "nameless.safetensors")


@pytest.mark.parametrize(
    "change", [{"patch": 3}, {"heads": 5}, {"channels": 0}, {"residual_std": 0.0}, {"channel_mult": ()}]
)
def test_a_description_that_cannot_be_built_is_refused(change):
    with pytest.raises(CheckpointFormatError, match="cannot be built"):
        replace(TINY, **change)
    assert UpscalerConfig.from_json(TINY.to_json()) == TINY
