"""The temporal layers of decoders."""

from dataclasses import replace

import pytest
import torch
from video_ldm.temporal.decoder import (
    KL,
    TAESD,
    DecoderConfig,
    DecoderShape,
    TemporalDecoder,
    load_decoder,
    save_decoder,
)
from video_ldm.temporal.decoder.formats import image_weights
from video_ldm.temporal.decoder.layers import TemporalResBlock
from video_ldm.temporal.errors import CheckpointFormatError
from video_ldm.temporal.formats import save_stack
from video_ldm.temporal.weights.files import read_weights

from ..tiny import descend, new_stack, normal, sine_init

SMALL_KL = DecoderShape("kl", channels=8, channel_mult=(1, 2), num_res_blocks=1)
SHAPES = pytest.mark.parametrize("shape", [TAESD, SMALL_KL], ids=["taesd", "kl"])


def config(shape):
    return DecoderConfig(shape, base="SD")


def test_a_layer_follows_every_residual_block():
    taesd = TemporalDecoder(config(TAESD), device="meta").sites
    assert [site.path for site in taesd] == [
        f"taesd_decoder.{i}" for i in (3, 4, 5, 8, 9, 10, 13, 14, 15, 18)
    ]
    kl = TemporalDecoder(config(KL), device="meta").sites
    assert [(site.path, site.channels) for site in kl] == [
        ("decoder.mid.block_1", 512),
        ("decoder.mid.block_2", 512),
        *((f"decoder.up.3.block.{i}", 512) for i in range(3)),
        *((f"decoder.up.2.block.{i}", 512) for i in range(3)),
        *((f"decoder.up.1.block.{i}", 256) for i in range(3)),
        *((f"decoder.up.0.block.{i}", 128) for i in range(3)),
    ]


@SHAPES
@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_a_new_decoder_is_the_identity_bit_for_bit(shape, num_frames):
    decoder = TemporalDecoder(config(shape))
    for site in decoder.sites:
        hidden = normal(num_frames, site.channels, 5, 7)
        assert torch.equal(decoder(site, hidden), hidden)


def reference(layer, hidden):
    """Frame by frame and tap by tap."""

    def conv(module, frames):
        last = len(frames) - 1
        taps = module.weight[..., 0].unbind(dim=2)
        out = []
        for i in range(len(frames)):
            seen = (frames[max(i - 1, 0)], frames[i], frames[min(i + 1, last)])
            taken = sum(
                torch.einsum("oc,chw->ohw", tap, frame) for tap, frame in zip(taps, seen, strict=True)
            )
            out.append(taken + module.bias[:, None, None])
        return out

    def norm(module, frame):
        frame = (frame - frame.mean()) / torch.sqrt(frame.var(unbiased=False) + 1e-5)
        return torch.nn.functional.silu(frame * module.weight[:, None, None] + module.bias[:, None, None])

    x = conv(layer.conv_in, [norm(layer.norm_in, frame) for frame in hidden])
    x = conv(layer.conv_out, [norm(layer.norm_out, frame) for frame in x])
    return hidden + torch.stack(x)


@pytest.mark.parametrize("num_frames", [1, 2, 5])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_equals_the_reference(num_frames, memory_format):
    layer = sine_init(TemporalResBlock(6, torch.nn)).double()
    hidden = normal(num_frames, 6, 5, 7).double().contiguous(memory_format=memory_format)
    torch.testing.assert_close(layer(hidden), reference(layer, hidden))


def test_a_frame_depends_on_two_neighbours_on_either_side_only():
    """Chunks decode exactly because no norm reaches further."""
    layer = sine_init(TemporalResBlock(6, torch.nn))
    hidden = normal(9, 6, 5, 7)
    whole, part = layer(hidden), layer(hidden[1:8])
    torch.testing.assert_close(part[2:5], whole[3:6], rtol=1e-6, atol=1e-6)
    changed = hidden.clone()
    changed[8] = normal(6, 5, 7, seed=1)
    assert torch.equal(layer(changed)[:6], whole[:6])
    assert (layer(changed)[6] - whole[6]).abs().max() > 1e-4


def test_a_new_decoder_trains_from_the_first_step():
    decoder = TemporalDecoder(config(SMALL_KL))

    def learning():
        outs = [decoder(site, normal(3, site.channels, 4, 5)) for site in decoder.sites]
        sum((out * normal(*out.shape, seed=1)).mean() for out in outs).backward()
        return descend(decoder)

    names = {name for name, _ in decoder.named_parameters()}
    assert learning() == {name for name in names if "conv_out" in name}
    assert learning() == names


@SHAPES
def test_round_trip_keeps_config_and_every_weight(shape, tmp_path):
    decoder = sine_init(TemporalDecoder(config(shape)))
    save_decoder(tmp_path / "a.safetensors", decoder)
    loaded = load_decoder(tmp_path / "a.safetensors")
    assert loaded.config == decoder.config
    assert all(torch.equal(loaded.get_parameter(name), p) for name, p in decoder.named_parameters())


def test_temporal_layers_are_no_temporal_decoder(tmp_path):
    save_stack(tmp_path / "a.safetensors", new_stack())
    with pytest.raises(
        CheckpointFormatError,
        match="no temporal decoder: it holds temporal layers of Video LDM; put it in models/temporal_layers",
    ):
        load_decoder(tmp_path / "a.safetensors")


def test_the_middle_is_as_wide_as_the_last_level():
    assert [site.channels for site in TemporalDecoder(config(SMALL_KL)).sites[:2]] == [16, 16]


@pytest.mark.parametrize("changes", [{"channel_mult": (1, 16)}, {"num_res_blocks": 16}])
def test_the_largest_sizes(changes):
    replace(SMALL_KL, **changes).check()
    larger = {name: (1, 17) if name == "channel_mult" else 17 for name in changes}
    with pytest.raises(CheckpointFormatError):
        replace(SMALL_KL, **larger).check()


def test_weights_of_the_image_decoder_are_kept_apart(tmp_path):
    decoder, image = sine_init(TemporalDecoder(config(SMALL_KL))), {"conv_out.weight": normal(3, 8, 3, 3)}
    save_decoder(tmp_path / "a.safetensors", decoder, image=image)
    kept = image_weights(read_weights(tmp_path / "a.safetensors"))
    assert kept.keys() == image.keys() and torch.equal(kept["conv_out.weight"], image["conv_out.weight"])
    own = load_decoder(tmp_path / "a.safetensors").state_dict()
    assert all(torch.equal(own[key], weight) for key, weight in decoder.state_dict().items())
