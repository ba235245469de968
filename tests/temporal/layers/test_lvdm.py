"""Layers of the LVDM line against the same computed slowly.

A video convolution, attention one pair of frames at a time.
"""

import math

import pytest
import torch
from einops import rearrange
from torch import nn
from torch.nn import functional
from video_ldm.temporal.layers.lvdm import (
    FrameRateInTime,
    RelativeAttention,
    TemporalConvs,
    frame_transformer,
)
from video_ldm.temporal.sampling.clip import Clip

from ..tiny import normal, sine_init

CHANNELS, HEADS, HEIGHT, WIDTH = 32, 4, 5, 3


def hidden(frames: int, clips: int = 2) -> torch.Tensor:
    return normal(clips * frames, CHANNELS, HEIGHT, WIDTH)


@pytest.mark.parametrize("frames", [1, 3, 5])
def test_four_convolutions_are_those_of_a_video(frames):
    layer = sine_init(TemporalConvs(CHANNELS, nn))
    video = rearrange(hidden(frames), "(b f) c h w -> b c f h w", f=frames)
    x = video
    for norm, conv in zip(layer.norms, layer.convs, strict=True):
        x = functional.silu(functional.group_norm(x, 32, norm.weight, norm.bias))
        x = functional.conv3d(x, conv.weight[..., None], conv.bias, padding=(1, 0, 0))
    expected = rearrange(video + x, "b c f h w -> (b f) c h w")
    torch.testing.assert_close(layer(hidden(frames), Clip(frames)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("frames", [1, 3, 7])
def test_relative_attention_adds_vectors_of_the_distance(frames):
    reach, head = 2, CHANNELS // HEADS
    layer = sine_init(RelativeAttention(CHANNELS, HEADS, reach, nn))
    x = normal(3, frames, CHANNELS)
    q, k, v = (rearrange(part, "s f (h d) -> s h f d", h=HEADS) for part in layer.qkv(x).chunk(3, -1))
    out = torch.zeros_like(q)
    for i in range(frames):
        place = [min(max(j - i, -reach), reach) + reach for j in range(frames)]
        logits = [
            (q[:, :, i] * (k[:, :, j] + layer.table_k.weight[place[j]])).sum(-1) / math.sqrt(head)
            for j in range(frames)
        ]
        weights = torch.softmax(torch.stack(logits, -1), -1)
        for j in range(frames):
            out[:, :, i] += weights[:, :, j, None] * (v[:, :, j] + layer.table_v.weight[place[j]])
    expected = layer.out(rearrange(out, "s h f d -> s f (h d)"))
    torch.testing.assert_close(layer.over_frames(x, Clip(frames)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("reach", [None, 2])
def test_only_relative_positions_tell_the_order_of_frames(reach):
    layer = sine_init(frame_transformer(CHANNELS, HEADS, 2 * CHANNELS, reach, nn))
    x, order = hidden(5, clips=1), torch.tensor([3, 0, 4, 1, 2])
    shuffled, clip = layer(x[order], Clip(5)), Clip(5)
    assert torch.allclose(shuffled, layer(x, clip)[order], rtol=1e-4, atol=1e-4) == (reach is None)


@pytest.mark.parametrize("reach", [None, 2])
def test_clips_of_one_batch_do_not_mix(reach):
    layer = sine_init(frame_transformer(CHANNELS, HEADS, CHANNELS, reach, nn))
    x = hidden(3)
    torch.testing.assert_close(layer(x, Clip(3))[:3], layer(x[:3], Clip(3)), rtol=1e-4, atol=1e-5)


def test_a_new_layer_changes_nothing():
    x, clip = hidden(3), Clip(3)
    assert torch.equal(TemporalConvs(CHANNELS, nn)(x, clip), x)
    assert torch.equal(frame_transformer(CHANNELS, HEADS, 2 * CHANNELS, 2, nn)(x, clip), x)


def test_the_frame_rate_joins_the_time_embedding_of_its_clip():
    layer = sine_init(FrameRateInTime(8, 32, nn))
    emb = normal(6, 32)
    angles = torch.tensor([[rate * 10000 ** (-i / 4) for i in range(4)] for rate in (8.0, 24.0)])
    table = torch.cat([angles.cos(), angles.sin()], -1)
    rates = layer.linear_out(functional.silu(layer.linear_in(table))).repeat_interleave(3, 0)
    torch.testing.assert_close(layer(emb, Clip(3, fps=torch.tensor([8.0, 24.0]))), emb + rates)
    torch.testing.assert_close(layer(emb, Clip(3, fps=24.0))[3:], (emb + rates)[3:])


def test_the_norm_of_a_transformer_is_over_the_clip():
    """A norm per frame would not see that one frame is brighter."""
    layer, x = sine_init(frame_transformer(CHANNELS, HEADS, CHANNELS, None, nn)), hidden(3, clips=1)
    brighter = x + torch.tensor([5.0, 0, 0])[:, None, None, None]
    assert not torch.allclose(
        layer(brighter, Clip(3)) - brighter, layer(x, Clip(3)) - x, rtol=1e-2, atol=1e-2
    )
