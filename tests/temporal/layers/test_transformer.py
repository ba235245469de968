"""The temporal transformer against loops over places, frames and heads."""

import math

import pytest
import torch
from einops import rearrange, repeat
from torch.nn import functional
from video_ldm.temporal.layers import attention, transformer
from video_ldm.temporal.layers.attention import FrameAttention, TextAttention, windows_around
from video_ldm.temporal.layers.position import FramePositions, FrameRateEmbedding
from video_ldm.temporal.layers.transformer import FeedForward, TemporalTransformer
from video_ldm.temporal.sampling.clip import Clip, sdpa

from ...reference import temporal_transformer
from ..tiny import normal, sine_init

CHANNELS, HEADS, CONTEXT = 32, 2, 10


both_arrangements = pytest.mark.parametrize("on_tokens", [False, True], ids=["attention", "tokens"])


def new_transformer(on_tokens=False):
    layer = TemporalTransformer(CHANNELS, HEADS, CONTEXT, torch.nn, positions_on_tokens=on_tokens)
    return sine_init(layer).double()


def run(layer, clip, tokens, text):
    context = repeat(text, "b m e -> (b f) m e", f=clip.num_frames)
    return layer(tokens, context, clip)


@both_arrangements
@pytest.mark.parametrize("num_frames", [1, 3, 5])
def test_equals_the_reference(num_frames, on_tokens):
    layer = new_transformer(on_tokens)
    tokens, text = normal(2 * num_frames, 4, CHANNELS).double(), normal(2, 3, CONTEXT, seed=1).double()
    out = run(layer, Clip(num_frames), tokens, text)
    positions = [frame - (num_frames - 1) / 2 for frame in range(num_frames)]
    apart = rearrange(tokens, "(b f) n c -> b f n c", f=num_frames)
    expected = temporal_transformer(layer.state_dict(), apart, text, HEADS, positions, on_tokens)
    torch.testing.assert_close(out, rearrange(expected, "b f n c -> (b f) n c"), rtol=1e-5, atol=1e-6)


@both_arrangements
def test_positions_may_be_fractions_and_start_anywhere(on_tokens):
    layer = new_transformer(on_tokens)
    tokens, text = normal(3, 2, CHANNELS).double(), normal(1, 3, CONTEXT, seed=1).double()
    out = run(layer, Clip(3, positions=torch.tensor([20.0, 20.5, 23.0])), tokens, text)
    expected = temporal_transformer(
        layer.state_dict(), tokens[None], text, HEADS, [-1.5, -1.0, 1.5], on_tokens
    )
    torch.testing.assert_close(out, expected[0], rtol=1e-5, atol=1e-6)


def test_order_of_the_frames_matters():
    layer = new_transformer()
    tokens, text = normal(3, 2, CHANNELS).double(), normal(1, 3, CONTEXT, seed=1).double()
    forward, backward = run(layer, Clip(3), tokens, text), run(layer, Clip(3), tokens.flip(0), text)
    assert (forward - backward.flip(0)).abs().max() > 1e-3


def test_positions_on_tokens_make_a_word_mean_another_thing_in_every_frame():
    """Frames that look alike differ by their number alone.

    Without it in the text attention a word adds the same to all.
    """
    tokens = normal(1, 2, CHANNELS).double().expand(3, -1, -1)
    for on_tokens in (False, True):
        layer = new_transformer(on_tokens)
        with torch.no_grad():
            for silent in (layer.frame_attention.out, layer.ff_in.proj_out, layer.ff_out.proj_out):
                silent.weight.zero_()
                silent.bias.zero_()
        one, other = (run(layer, Clip(3), tokens, normal(1, 3, CONTEXT, seed=s).double()) for s in (1, 2))
        spread = (one - other).std(dim=0).max()
        assert spread > 1e-3 if on_tokens else spread < 1e-12


@pytest.mark.parametrize("texts", [1, 2, 2 * 7], ids=["of all", "of each clip", "of each frame"])
def test_with_positions_on_tokens_a_long_clip_goes_through_in_runs(texts):
    """Every frame is as in the short clip that has it nearest its centre, all through the layer."""
    num_frames, length = 7, 4
    layer = new_transformer(on_tokens=True)
    tokens, text = normal(2 * num_frames, 3, CHANNELS).double(), normal(texts, 3, CONTEXT, seed=1).double()
    out = layer(tokens, text, Clip(num_frames, text=text, window=length))
    windows, which, _ = windows_around(num_frames, length)
    for b in range(2):
        for frame in range(num_frames):
            start = int(windows[which[frame], 0])
            inside = slice(b * num_frames + start, b * num_frames + start + length)
            read = {1: text, 2: text[b : b + 1]}.get(texts, text[inside] if texts > 2 else None)
            alone = layer(tokens[inside], read, Clip(length, text=read))
            torch.testing.assert_close(out[b * num_frames + frame], alone[frame - start])


def test_motion_text_replaces_the_images_text():
    layer = new_transformer()
    tokens = normal(6, 2, CHANNELS).double()
    spatial, motion = normal(2, 3, CONTEXT, seed=1).double(), normal(2, 5, CONTEXT, seed=2).double()
    out = run(layer, Clip(3, text=motion), tokens, spatial)
    assert torch.equal(out, run(layer, Clip(3), tokens, motion))
    assert torch.equal(out, run(layer, Clip(3, text=motion, texts_differ=True), tokens, spatial))
    one_for_all = run(layer, Clip(3, text=motion[:1]), tokens, spatial)
    torch.testing.assert_close(one_for_all[:3], out[:3])


def test_text_keys_and_values_are_made_once_per_clip():
    layer = new_transformer()
    calls = []

    def spy(q, k, v, heads, mask=None):
        calls.append((tuple(q.shape), tuple(k.shape)))
        return sdpa(q, k, v, heads, mask)

    run(layer, Clip(3, attention=spy), normal(6, 4, CHANNELS).double(), normal(2, 5, CONTEXT).double())
    over_frames, over_text = calls
    assert over_frames == ((2 * 4, 3, CHANNELS), (2 * 4, 3, CHANNELS))
    assert over_text == ((2, 3 * 4, CHANNELS), (2, 5, CHANNELS))


def test_every_frame_attends_to_its_own_text():
    layer = sine_init(TextAttention(CHANNELS, CONTEXT, HEADS, torch.nn)).double()
    tokens, texts = normal(6, 4, CHANNELS).double(), normal(6, 5, CONTEXT, seed=1).double()
    alone = [layer(tokens[i : i + 1], texts[i : i + 1], Clip(1)) for i in range(6)]
    torch.testing.assert_close(layer(tokens, texts, Clip(3)), torch.cat(alone))


def test_another_text_in_one_frame_changes_that_frame():
    """The attention over frames comes before, so that it stays in its frame."""
    layer, tokens = new_transformer(), normal(3, 2, CHANNELS).double()
    texts = normal(1, 5, CONTEXT, seed=1).double().repeat(3, 1, 1)
    shared = layer(tokens, texts, Clip(3))
    torch.testing.assert_close(layer(tokens, texts, Clip(3, texts_differ=True)), shared)
    texts[1] += 1
    change = (layer(tokens, texts, Clip(3, texts_differ=True)) - shared).abs().amax(dim=(1, 2))
    assert change[1] > 1e-3 and max(change[[0, 2]]) < 1e-6


def test_a_large_batch_of_places_is_cut_into_slices(monkeypatch):
    layer = sine_init(FrameAttention(CHANNELS, HEADS, FramePositions(CHANNELS, torch.nn), torch.nn))
    tokens = normal(6, 7, CHANNELS)
    whole = layer(tokens, Clip(3))
    monkeypatch.setattr(attention, "MAX_SEQUENCES", 5)
    torch.testing.assert_close(layer(tokens, Clip(3)), whole)


def test_a_mask_stays_where_the_batch_is_cut_into_slices(monkeypatch):
    q, k, v = (normal(6, 4, CHANNELS, seed=seed) for seed in range(3))
    bias = 3 * normal(1, HEADS, 4, 4, seed=3)
    whole = attention.in_slices(sdpa, q, k, v, HEADS, mask=bias)
    assert (whole - attention.in_slices(sdpa, q, k, v, HEADS)).abs().max() > 1e-2
    monkeypatch.setattr(attention, "MAX_SEQUENCES", 4)
    torch.testing.assert_close(attention.in_slices(sdpa, q, k, v, HEADS, mask=bias), whole)


def test_the_frame_rate_is_embedded_by_its_logarithm():
    """Against sines and cosines of log2(fps), counted out one by one."""
    layer = sine_init(FrameRateEmbedding(8, 6, torch.nn)).double()
    rates, rows = [2.0, 8.0, 24.0], []
    for fps in rates:
        angles = [math.log2(fps) * 100 ** (-i / 4) for i in range(4)]
        rows.append([*map(math.cos, angles), *map(math.sin, angles)])
    hidden = functional.silu(layer.linear_in(torch.tensor(rows).double()))
    torch.testing.assert_close(
        layer(torch.tensor(rates), torch.float64), layer.linear_out(hidden), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(("num_frames", "length"), [(3, 4), (4, 4), (5, 4), (11, 4), (9, 3), (7, 1)])
def test_longer_clips_attend_within_runs_with_positions_of_their_own(num_frames, length):
    """Against every frame's run attended by itself, of which only that frame is kept."""
    layer = sine_init(FrameAttention(CHANNELS, HEADS, FramePositions(CHANNELS, torch.nn), torch.nn)).double()
    frames = normal(3, num_frames, CHANNELS).double()
    out = layer.over_frames(frames, Clip(num_frames, window=length))
    if num_frames <= length:
        assert torch.equal(out, layer.over_frames(frames, Clip(num_frames)))
        return
    windows, which, place = windows_around(num_frames, length)
    for frame in range(num_frames):
        start = int(windows[which[frame], 0])
        assert windows[which[frame], place[frame]] == frame
        alone = layer.over_frames(frames[:, start : start + length], Clip(length))[:, frame - start]
        torch.testing.assert_close(out[:, frame], alone)


@pytest.mark.parametrize(("num_frames", "length"), [(5, 4), (30, 16), (31, 16), (17, 16), (100, 8), (9, 3)])
def test_a_frame_inside_a_long_clip_sees_both_of_its_sides(num_frames, length):
    windows, which, place = windows_around(num_frames, length)
    assert windows.min() == 0 and windows.max() == num_frames - 1
    for frame in range(length // 2, num_frames - length // 2):
        assert length // 4 <= place[frame] <= length - 1 - length // 4, (frame, which[frame])


@pytest.mark.parametrize("tokens", [1, 7, 8, 20])
def test_a_feed_forward_gives_the_same_some_tokens_at_a_time(monkeypatch, tokens):
    layer, x = sine_init(FeedForward(CHANNELS, torch.nn)).double(), normal(3, tokens, CHANNELS).double()
    whole = layer(x)
    assert whole.requires_grad, "together where gradients are wanted"
    monkeypatch.setattr(transformer, "TOKENS_AT_A_TIME", 8)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), whole.detach())
