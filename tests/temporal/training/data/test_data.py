"""Cache and batches: what goes in comes out, and the same step draws the same batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from video_ldm.temporal.errors import CheckpointFormatError, InvalidInputError
from video_ldm.temporal.training.data.batches import BatchSource
from video_ldm.temporal.training.data.cache import is_current, open_cache
from video_ldm.temporal.training.data.preparing import (
    write_cache,
    write_captions,
    write_index,
    write_latents,
)
from video_ldm.temporal.training.noise_levels import stable_diffusion_levels
from video_ldm.tests.temporal.training import world


def test_cache_round_trip(tmp_path):
    given = [
        (torch.randn(n, *world.LATENT), caption, fps)
        for n, caption, fps in ((3, "a", 8.0), (5, "b", 4.0), (2, "a", 8.0))
    ]
    write_cache(tmp_path, given, source="these")
    asked = []
    write_captions(tmp_path, "tiny", lambda captions: asked.extend(captions) or world.embed(captions))
    cache = open_cache(tmp_path, "tiny")
    assert asked == ["", "a", "b"]  # every unique caption once, the empty one first
    assert isinstance(cache.latents, np.memmap)
    assert cache.lengths().tolist() == [3, 5, 2]
    assert cache.fps.tolist() == [8.0, 4.0, 8.0]
    for index, (latents, caption, _) in enumerate(given):
        assert torch.equal(cache.clip(index), latents.half().float())
        assert cache.captions[cache.caption_ids[index]] == caption
    torch.testing.assert_close(cache.embedding([1, 2]), world.encode(["a", "b"]), rtol=1e-3, atol=1e-3)
    assert is_current(tmp_path, "these")
    assert not is_current(tmp_path, "others")


def test_text_is_encoded_once_per_encoder(tmp_path):
    world.make_cache(tmp_path)

    def never(captions):
        raise AssertionError

    write_captions(tmp_path, "tiny", never)
    write_captions(tmp_path, "another", world.embed)
    assert len(open_cache(tmp_path, "another").text) == 4


def test_text_is_encoded_again_where_a_caption_is_another_one(tmp_path):
    """There are as many captions as before, which were taken for the same ones."""
    write_latents(tmp_path / "0.npy", [torch.zeros(3, *world.LATENT)])
    for caption in ("one", "two"):
        write_index(tmp_path, [caption], [0, 3], [8.0], more={"files": ["0.npy"]})
        write_captions(tmp_path, "tiny", world.embed)
    text = open_cache(tmp_path, "tiny").embedding([1])
    torch.testing.assert_close(text, world.encode(["two"]), rtol=1e-3, atol=1e-3)


def test_half_a_cache_is_refused(tmp_path):
    with pytest.raises(CheckpointFormatError, match="no complete clip cache"):
        open_cache(tmp_path, "tiny")
    world.make_cache(tmp_path)
    np.save(tmp_path / "latents.npy", np.zeros((3, *world.LATENT), np.float16))
    with pytest.raises(CheckpointFormatError, match=r"latents\.npy is missing or damaged"):
        open_cache(tmp_path, "tiny")


def test_clips_of_different_sizes_are_refused(tmp_path):
    pair = [(torch.zeros(3, 4, 2, 2), "a", 8.0), (torch.zeros(3, 4, 2, 3), "b", 8.0)]
    with pytest.raises(InvalidInputError, match="one size"):
        write_cache(tmp_path, pair)


def source(tmp_path, **changes) -> BatchSource:
    return BatchSource(world.make_cache(tmp_path), world.settings(**changes), stable_diffusion_levels())


def test_batches_follow_from_seed_and_step(tmp_path):
    batches = source(tmp_path)
    for name in ("latents", "noise", "t", "text", "known_latents", "known_mask", "fps"):
        first, again, next_one = (getattr(batches.draw(step), name) for step in (3, 3, 4))
        assert torch.equal(first, again)
        assert first.shape == next_one.shape
    assert not torch.equal(batches.draw(3).noise, batches.draw(4).noise)
    assert not torch.equal(batches.draw(3).noise, batches.draw(3, part=1).noise)


def test_a_batch_holds_whole_runs_of_frames_at_their_rate(tmp_path):
    batches = source(tmp_path, batch=16, patterns={"none": 1.0})
    batch = batches.draw(0)
    clips = batch.latents.unflatten(0, (16, 4))
    whole = [batches.cache.clip(i) for i in range(len(batches.cache))]
    for clip, fps in zip(clips, batch.fps.tolist(), strict=True):
        stride = round(8 / fps)
        runs = [w[s : s + 3 * stride + 1 : stride] for w in whole for s in range(len(w) - 3 * stride)]
        assert any(torch.equal(clip, run) for run in runs)  # in order, never reversed
    assert set(batch.fps.tolist()) == {8.0, 4.0}
    assert batch.known_mask.sum() == 0
    assert torch.equal(batch.t.unflatten(0, (16, 4)), batch.t[::4, None].expand(16, 4))


def test_every_batch_has_one_length_of_those_asked_for(tmp_path):
    batches = source(tmp_path, num_frames=4, other_lengths=(3, 1), batch=2)
    seen = set()
    for step in range(20):
        batch = batches.draw(step)
        assert len(batch.latents) == len(batch.known_mask) == len(batch.t) == 2 * batch.num_frames
        seen.add(batch.num_frames)
    assert seen == {4, 3, 1}


def test_other_lengths_are_shorter(tmp_path):
    with pytest.raises(InvalidInputError, match="name the longest first"):
        source(tmp_path, num_frames=4, other_lengths=(5,))


def test_given_frames_are_the_clips_own(tmp_path):
    batch = source(tmp_path, batch=4, patterns={"first": 1.0}).draw(0)
    given = batch.known_mask.bool()
    assert given.unflatten(0, (4, 4))[:, 0].all()
    assert given.sum() == 4
    assert torch.equal(batch.known_latents[given], batch.latents[given])
    assert batch.known_latents[~given].abs().sum() == 0


def test_given_frames_can_be_noised(tmp_path):
    batch = source(tmp_path, batch=32, patterns={"first": 1.0}, known_noise=250).draw(0)
    difference = (batch.known_latents - batch.latents)[batch.known_mask.bool()].std()
    assert 0.1 < difference < 0.6


def test_text_is_dropped_as_often_as_asked(tmp_path):
    batch = source(tmp_path, batch=200, text_dropout=0.3).draw(0)
    empty = (batch.text == world.encode([""])[0]).all(-1).all(-1).float().mean()
    assert empty == pytest.approx(0.3, abs=0.1)


def test_high_noise_is_preferred_when_asked(tmp_path):
    means = [source(tmp_path, batch=200, high_noise=p).draw(0).t.float().mean() for p in (0.0, 1.0)]
    assert means[0] == pytest.approx(500, abs=15)
    assert means[1] == pytest.approx(1000 * 2 / 3, abs=15)


def test_short_clips_are_refused_with_their_length(tmp_path):
    with pytest.raises(InvalidInputError, match="longest clip has 9 frames, but 10 frames"):
        source(tmp_path, num_frames=10, strides=(1,))


def test_only_the_noisiest_clips_are_drowned(tmp_path):
    drawn = source(tmp_path, signal_dropout=0.5, batch=64).draw(0)
    clips = drawn.signal.view(64, -1)
    assert torch.equal(clips, clips[:, :1].expand_as(clips))  # all frames of a clip alike
    noisiest = drawn.t >= 850
    assert bool((drawn.signal[~noisiest] == 1).all())
    assert 0.2 < (drawn.signal[noisiest] < 1).float().mean().item() < 0.8
    assert bool((source(tmp_path).draw(0).signal == 1).all())
