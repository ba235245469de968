"""The temporal transformer against loops over places, frames and heads."""

import pytest
import torch
from einops import rearrange, repeat
from video_ldm.temporal.layers import attention, transformer
from video_ldm.temporal.layers.attention import FrameAttention, TextAttention, windows_around
from video_ldm.temporal.layers.position import FramePositions
from video_ldm.temporal.layers.transformer import FeedForward, TemporalTransformer
from video_ldm.temporal.sampling.clip import Clip, sdpa

from ...reference import temporal_transformer
from ..tiny import normal, sine_init

CHANNELS, HEADS, CONTEXT = 32, 2, 10


def new_transformer():
    return sine_init(TemporalTransformer(CHANNELS, HEADS, CONTEXT, torch.nn)).double()


def run(layer, clip, tokens, text):
    context = repeat(text, "b m e -> (b f) m e", f=clip.num_frames)
    return layer(tokens, context, clip)


@pytest.mark.parametrize("num_frames", [1, 3, 5])
def test_equals_the_reference(num_frames):
    layer = new_transformer()
    tokens, text = normal(2 * num_frames, 4, CHANNELS).double(), normal(2, 3, CONTEXT, seed=1).double()
    out = run(layer, Clip(num_frames), tokens, text)
    positions = [frame - (num_frames - 1) / 2 for frame in range(num_frames)]
    apart = rearrange(tokens, "(b f) n c -> b f n c", f=num_frames)
    expected = temporal_transformer(layer.state_dict(), apart, text, HEADS, positions)
    torch.testing.assert_close(out, rearrange(expected, "b f n c -> (b f) n c"), rtol=1e-5, atol=1e-6)


def test_positions_may_be_fractions_and_start_anywhere():
    layer = new_transformer()
    tokens, text = normal(3, 2, CHANNELS).double(), normal(1, 3, CONTEXT, seed=1).double()
    out = run(layer, Clip(3, positions=torch.tensor([20.0, 20.5, 23.0])), tokens, text)
    expected = temporal_transformer(layer.state_dict(), tokens[None], text, HEADS, [-1.5, -1.0, 1.5])
    torch.testing.assert_close(out, expected[0], rtol=1e-5, atol=1e-6)


def test_order_of_the_frames_matters():
    layer = new_transformer()
    tokens, text = normal(3, 2, CHANNELS).double(), normal(1, 3, CONTEXT, seed=1).double()
    forward, backward = run(layer, Clip(3), tokens, text), run(layer, Clip(3), tokens.flip(0), text)
    assert (forward - backward.flip(0)).abs().max() > 1e-3


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
