"""Attention over frames inside a transformer block against loops over places, heads and pairs of frames."""

import pytest
import torch
from einops import rearrange
from video_ldm.temporal.layers.inside import InsideAttention, TurningAttention, buckets, first_and_previous
from video_ldm.temporal.sampling.clip import Clip

from ...reference_lavie import bucket, layer_norm, over_frames, seen_by
from ..tiny import normal, sine_init

CHANNELS, HEADS = 80, 2  # 40 channels per head, of which 32 turn


def new_layer(positions: bool, channels: int = CHANNELS, heads: int = HEADS) -> InsideAttention:
    return sine_init(InsideAttention(channels, heads, positions, torch.nn)).double()


def as_published(layer: InsideAttention) -> dict[str, torch.Tensor]:
    q, k, v = layer.attention.qkv.weight.chunk(3)
    weights = {"attn_temp.to_q.weight": q, "attn_temp.to_k.weight": k, "attn_temp.to_v.weight": v}
    weights |= {
        f"attn_temp.to_out.0.{leaf}": getattr(layer.attention.out, leaf) for leaf in ("weight", "bias")
    }
    weights |= {f"norm_temp.{leaf}": getattr(layer.norm, leaf) for leaf in ("weight", "bias")}
    if isinstance(layer.attention, TurningAttention):
        weights["attn_temp.time_rel_pos_bias.relative_attention_bias.weight"] = layer.attention.bias.weight
    return weights


@pytest.mark.parametrize("positions", [True, False], ids=["positions", "no positions"])
@pytest.mark.parametrize("num_frames", [1, 3, 5, 11])
def test_equals_the_reference(positions, num_frames):
    layer, tokens = new_layer(positions), normal(2 * num_frames, 3, CHANNELS).double()
    weights = as_published(layer)
    normed = layer_norm(weights, "norm_temp", rearrange(tokens, "(b f) n c -> b f n c", f=num_frames))
    change = over_frames(weights, "attn_temp", normed, HEADS)
    expected = tokens + rearrange(change, "b f n c -> (b f) n c")
    torch.testing.assert_close(layer(tokens, Clip(num_frames)), expected, rtol=1e-5, atol=1e-6)


def test_every_distance_has_its_bucket():
    expected = [[bucket(key - query) for key in range(80)] for query in range(80)]
    assert buckets(torch.arange(80.0) - 39.5).tolist() == expected
    assert bucket(26) == 30 and bucket(27) == bucket(300) == 31 and bucket(-27) == 15


def test_distances_between_whole_frames_are_rounded():
    assert buckets(torch.tensor([0.0, 0.6, 2.0])).tolist() == [[0, 17, 18], [1, 0, 17], [2, 1, 0]]


def test_a_long_clip_of_any_length_runs_and_only_relative_positions_count():
    layer, tokens = new_layer(True), normal(128, 2, CHANNELS).double()
    out = layer(tokens, Clip(128))
    later = layer(tokens, Clip(128, positions=torch.arange(128) + 1000.0))
    assert bool(out.isfinite().all())
    torch.testing.assert_close(out, later, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("positions", [True, False])
def test_order_matters_only_with_positions(positions):
    layer, tokens = new_layer(positions), normal(3, 2, CHANNELS).double()
    difference = (layer(tokens, Clip(3)) - layer(tokens.flip(0), Clip(3)).flip(0)).abs().max()
    assert difference > 1e-3 if positions else difference < 1e-9


def test_a_new_layer_changes_nothing():
    layer, tokens = InsideAttention(CHANNELS, HEADS, True, torch.nn), normal(6, 2, CHANNELS)
    assert torch.equal(layer(tokens, Clip(3)), tokens)


def test_narrow_heads_turn_whole():
    layer, tokens = new_layer(True, 32, 2), normal(3, 2, 32).double()
    assert bool(layer(tokens, Clip(3)).isfinite().all())


@pytest.mark.parametrize("num_frames", [1, 2, 5])
def test_each_frame_sees_the_first_and_the_one_before(num_frames):
    tokens = normal(2 * num_frames, 3, 4)
    clips = rearrange(tokens, "(b f) n c -> b f n c", f=num_frames)
    expected = [seen_by(clip, index) for clip in clips for index in range(num_frames)]
    assert torch.equal(first_and_previous(tokens, num_frames), torch.stack(expected))
