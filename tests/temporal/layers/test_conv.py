"""The temporal convolution against loops over frames."""

import pytest
import torch
from einops import rearrange
from video_ldm.temporal.layers.conv import TemporalConv
from video_ldm.temporal.sampling.clip import Clip

from ...reference import temporal_conv
from ..tiny import normal, sine_init

CHANNELS, KNOWN, EMB = 64, 8, 12


def new_conv():
    return sine_init(TemporalConv(CHANNELS, EMB, KNOWN, torch.nn))


@pytest.mark.parametrize("num_frames", [1, 3, 5])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_equals_the_reference(num_frames, memory_format):
    layer = new_conv().double()
    hidden = normal(2 * num_frames, CHANNELS, 3, 5).double().contiguous(memory_format=memory_format)
    emb = normal(2 * num_frames, EMB, seed=1).double()
    known = normal(2 * num_frames, KNOWN, 3, 5, seed=2).double()
    out = layer(hidden, emb, Clip(num_frames), known)
    apart = (rearrange(x, "(b f) ... -> b f ...", f=num_frames) for x in (hidden, emb, known))
    expected = temporal_conv(layer.state_dict(), *apart)
    torch.testing.assert_close(out, rearrange(expected, "b f c h w -> (b f) c h w"))


def test_norms_are_over_all_frames_of_a_clip():
    """Frames of different brightness keep their difference: a norm per frame would remove it."""
    layer = TemporalConv(CHANNELS, EMB, KNOWN, torch.nn)
    frame = normal(CHANNELS, 3, 5)
    clip = rearrange(torch.stack([frame, 4 * frame]), "(b f) c h w -> b c f (h w)", f=2)
    dark, bright = layer.norm_in(clip)[0].unbind(dim=1)
    assert bright.std() / dark.std() > 3


def test_convolves_over_three_frames_twice():
    layer = new_conv().double()
    hidden = normal(7, CHANNELS, 2, 3).double().requires_grad_()
    with torch.no_grad():
        for norm in (layer.norm_in, layer.norm_out):
            norm.weight.zero_()  # statistics reach over the whole clip: take them out
    layer.norm_in.forward = layer.norm_out.forward = lambda x: x
    out = layer(hidden, normal(7, EMB).double(), Clip(7))
    (out - hidden)[3].sum().backward()
    reached = [frame for frame in range(7) if hidden.grad[frame].abs().max() > 0]
    assert reached == [1, 2, 3, 4, 5]
