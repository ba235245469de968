"""Buckets: sizes that fit, batches of one shape, drawn in proportion, the same again from seed and step."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.formats.lora_names import LoraPlace, check_single_frames
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.training.data.batches import BatchSource
from video_ldm.temporal.training.data.buckets.sizes import bucket_sizes, longest_run, nearest_size
from video_ldm.temporal.training.data.buckets.source import Bucket, BucketSource, ClipBuckets, clips_hash
from video_ldm.temporal.training.engine import Engine
from video_ldm.temporal.training.loop import LayersTrainer, Surroundings, _piece
from video_ldm.temporal.training.memory.recompute import Memory
from video_ldm.temporal.training.noise_levels import stable_diffusion_levels
from video_ldm.temporal.training.sense import check_sense
from video_ldm.temporal.training.watching.held_out import held_out_loss
from video_ldm.tests.temporal.training import test_engine, two_processes, world


@pytest.fixture(scope="module")
def buckets(tmp_path_factory) -> ClipBuckets:
    folder = tmp_path_factory.mktemp("clips")
    world.make_buckets(folder)
    return world.open_buckets(folder)


def source(buckets: ClipBuckets, **changes) -> BucketSource:
    return BucketSource(buckets, world.settings(strides=(1,), **changes), stable_diffusion_levels())


def test_every_batch_is_of_one_bucket(buckets):
    batches, seen = source(buckets), set()
    for step in range(40):
        batch = batches.draw(step)
        assert len(batch.latents) == 2 * batch.num_frames == len(batch.known_mask)
        seen.add((batch.num_frames, *batch.latents.shape[-2:]))
        if batch.num_frames == 1:
            assert not batch.known_mask.any()  # a picture that is given leaves nothing to learn
    assert seen == {(4, 3, 5), (4, 5, 3), (2, 3, 5), (1, 3, 5)}


def test_buckets_come_as_often_as_they_have_clips_and_pictures_as_asked(buckets):
    batches = source(buckets)
    chosen = [batches.chosen(step) for step in range(2000)]
    shares = np.bincount(chosen) / len(chosen)
    assert shares == pytest.approx(0.75 * np.array([6 / 12, 2 / 12, 4 / 12, 0]) + [0, 0, 0, 0.25], abs=0.03)
    assert source(replace(buckets, images=0.0)).shares[-1] == 0


def test_a_step_draws_the_same_again_and_its_pieces_are_of_one_bucket(buckets):
    one, other = source(buckets), source(buckets)
    for step in range(12):
        first, again, piece = one.draw(step), other.draw(step), one.draw(step, part=1)
        assert torch.equal(first.latents, again.latents) and torch.equal(first.noise, again.noise)
        assert first.latents.shape == piece.latents.shape and not torch.equal(first.noise, piece.noise)
    assert [one.chosen(n) for n in range(50)] != [source(buckets, seed=1).chosen(n) for n in range(50)]


def test_two_processes_draw_what_one_adds_up(buckets):
    batches = source(buckets)
    for step in range(4):
        for rank in range(2):
            both = _piece(batches, 1, Engine(rank, 2), step)
            alone = _piece(batches, 2, Engine(), 2 * step + rank)
            assert torch.equal(both.noise, alone.noise) and torch.equal(both.latents, alone.latents)


@pytest.mark.slow
@pytest.mark.parametrize("words", [(), ("--shard",)], ids=["whole", "shared out"])
def test_two_processes_of_several_sizes_are_one_that_adds_up_two_batches(tmp_path, words):
    """A step each of pictures, of short films and of tall ones."""
    world.make_buckets(tmp_path)
    batches = BucketSource(world.open_buckets(tmp_path), world.settings(), stable_diffusion_levels())
    assert {batches.chosen(step) for step in range(two_processes.STEPS)} == {1, 2, 3}
    alone = two_processes.train(tmp_path, 2, Memory())
    both = test_engine.launched(tmp_path, tmp_path / "made.pt", *words)
    assert both["losses"] == pytest.approx(alone["losses"], rel=1e-5)
    for name, weight in alone["weights"].items():
        torch.testing.assert_close(both["weights"][name], weight, rtol=1e-5, atol=1e-5)


def test_one_bucket_draws_what_its_clips_draw_without(buckets):
    clips = buckets.buckets[0].clips
    alone = source(ClipBuckets((Bucket(clips, (4,)),)))
    plain = BatchSource(clips, world.settings(strides=(1,)), stable_diffusion_levels())
    for step in range(4):
        assert torch.equal(alone.draw(step).latents, plain.draw(step).latents)
        assert torch.equal(alone.draw(step).noise, plain.draw(step).noise)
    assert clips_hash(clips) != clips_hash(buckets)


@pytest.mark.slow
def test_a_run_goes_on_to_the_same_weights(buckets):
    def trainer() -> LayersTrainer:
        torch.manual_seed(1)
        stack = TemporalStack(StackConfig(world.SHAPE, "tiny", 4, known_frames=True, frame_rate=True))
        model = world.ImageModel()
        return LayersTrainer(stack, Surroundings(model.denoise, source(buckets, seed=5)))

    straight = trainer()
    seen = {straight.batches.draw(step).num_frames for step in range(6)}
    assert len(seen) > 1, "the run sees one bucket only"
    straight.run()
    stopped, resumed = trainer(), trainer()
    stopped.run(until=3)
    resumed.load_state_dict(stopped.state_dict())
    resumed.run()
    assert resumed.losses == straight.losses
    after = resumed.stack.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in straight.stack.state_dict().items())
    loss = held_out_loss(straight)
    assert loss is None  # of fewer than ten films none is kept out


def test_films_are_kept_out_of_all_buckets(buckets, monkeypatch):
    monkeypatch.setattr("video_ldm.temporal.training.data.batches.FEWEST_FILMS", 3)
    batches = source(buckets, kept_out=0.34)
    away = {name for part in batches.sources for name in np.array(part.cache.sources)[part.unseen]}
    assert len(away) == 2
    for part, bucket in zip(batches.sources, buckets.buckets, strict=True):
        used = {bucket.clips.sources[n] for group in part.clips.values() for _, clips in group for n in clips}
        assert bucket.pictures or used == set(bucket.clips.sources) - away
        assert len(part.unseen) == (0 if bucket.pictures else len(away & set(bucket.clips.sources)))
    asked = [len(batch.fps) for batch in batches.unseen_clips(500, 2)]
    assert sum(asked) == 2 and sum(len(batch.fps) for batch in batches.unseen_clips(500, 99)) == len(
        batches.unseen
    )
    with pytest.raises(InvalidInputError, match="All films are kept out"):
        source(buckets, kept_out=1.0)


PHRASES = MappingProxyType({"left": "right", "right": "left"})


def test_clips_for_checks_are_of_all_films_as_they_have_them(buckets):
    """Six of 12 clips in three buckets, of which none has more than six; pictures know no sense."""
    batches = source(buckets, reversed=dict(PHRASES), check_clips=6, batch=40)
    asked = Counter()
    for batch, opposite in batches.checks(999, 0.0):
        asked[(batch.num_frames, *batch.latents.shape[-2:])] += len(batch.fps)
        assert not torch.equal(batch.text, opposite)
    assert asked == {(4, 3, 5): 3, (4, 5, 3): 1, (2, 3, 5): 2}
    assert len(batches.held_out) == 6 and [part.count for part in batches.sources] == [3, 1, 2, 3]
    for part in batches.sources:
        used = {n for group in part.clips.values() for _, clips in group for n in clips}
        assert not used & set(part.held_out)
    assert len(source(buckets, reversed=dict(PHRASES), check_clips=11).held_out) == 11
    with pytest.raises(InvalidInputError, match="12 clips are to be kept for checks, but only 12 have a cap"):
        source(buckets, reversed=dict(PHRASES), check_clips=12)


def test_the_right_word_is_asked_of_films_of_all_sizes(buckets):
    model, seen = world.ImageModel(), set()

    def denoise(noisy, *args, **kwargs):
        seen.add(noisy.shape)
        return model.denoise(noisy, *args, **kwargs)

    trainer = world.make_trainer(buckets, model, reversed=dict(PHRASES), check_clips=6)
    trainer.denoise = denoise
    assert check_sense(trainer).clips == 6
    assert {(n, *shape[-2:]) for n, *shape in seen} == {(8, 3, 5), (4, 3, 5), (4, 5, 3)}


def test_films_without_the_longest_length_are_refused_beside_pictures_too(buckets):
    """Pictures without buckets: all films are drawn at every length."""
    short, still = buckets.buckets[2:]
    with pytest.raises(InvalidInputError, match="longest clip has 3 frames, but 4 frames are asked for"):
        source(ClipBuckets((replace(short, lengths=(4, 2)), still), images=0.25))


def test_samples_are_of_the_bucket_with_most_clips(buckets):
    batches = source(buckets, kept_out=0.0)
    assert batches.sample_shape == (4, 4, 3, 5)
    frames = source(buckets, num_frames=1, patterns={"none": 1.0})
    assert {frames.draw(step).num_frames for step in range(12)} == {1}  # as a LoRA of looks asks for them


def test_sizes_have_the_area_and_whole_places():
    sizes = bucket_sizes((512, 512), 64)
    assert sizes == ((512, 512), (384, 704), (448, 576), (576, 448), (704, 384), (768, 320))
    assert nearest_size((1920, 1080), sizes) == (704, 384)
    assert nearest_size((1080, 1920), sizes) == (384, 704)
    assert nearest_size((640, 480), sizes) == (576, 448)
    assert bucket_sizes((64, 64), 64) == ((64, 64),)  # no other size has about this area
    with pytest.raises(
        InvalidInputError, match=r"500x512, but .* multiples of 64; give such a size, e\.g\. 512x512"
    ):
        bucket_sizes((500, 512), 64)
    with pytest.raises(
        InvalidInputError, match="it is 4000x300, of which the nearest bucket, 768x320, would show 18 %"
    ):
        nearest_size((4000, 300), sizes)


def test_a_clip_goes_to_the_longest_length_it_has():
    assert [longest_run(frames, (16, 8), 1) for frames in (30, 16, 15, 8, 7)] == [16, 16, 8, 8, None]
    assert [longest_run(frames, (16, 8), 2) for frames in (31, 30, 15, 14)] == [16, 8, 8, None]


@pytest.mark.parametrize(("ends", "learns"), [(("to_q", "to_k"), False), (("to_q", "to_v"), True)])
def test_weights_that_choose_between_frames_learn_nothing_from_one(ends, learns):
    weight = "layers.down.attentions.0.qkv.weight"
    places = [LoraPlace((weight, (0, 8 * n, 8)), {"a": f"x.attention.{end}"}) for n, end in enumerate(ends)]
    if learns:
        check_single_frames(places)
        return
    with pytest.raises(InvalidInputError, match="only choose between frames"):
        check_single_frames(places)
