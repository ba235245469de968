"""Clips played backwards: their captions, their frames, and the check that asks for the right word."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.training.data import cache as caches
from video_ldm.temporal.training.data import preparing
from video_ldm.temporal.training.data.batches import BatchSource
from video_ldm.temporal.training.data.reversal import (
    opposites,
    parse_reversed,
    reversed_caption,
    reversed_captions,
)
from video_ldm.temporal.training.noise_levels import stable_diffusion_levels
from video_ldm.temporal.training.sense import LEVELS, check_sense
from video_ldm.tests.temporal.training import world

TEXT = "moving left=moving right, circling clockwise = circling counterclockwise, zooming in=zooming out"
PHRASES = parse_reversed(TEXT)
CAPTIONS = ("a box moving left", "a box moving right", "a box standing")


@pytest.fixture
def folder(tmp_path):
    """Nine frames a clip, each frame filled with its number, so that their order can be read."""
    frames = torch.arange(9.0)[:, None, None, None].expand(9, *world.LATENT)
    preparing.write_cache(tmp_path, [(frames + 10 * n, CAPTIONS[n % 3], 8.0) for n in range(12)])
    preparing.add_captions(tmp_path, reversed_captions(caches.read_index(tmp_path)["captions"], PHRASES))
    preparing.write_captions(tmp_path, "tiny", world.embed)
    return tmp_path


def source(folder, **changes) -> BatchSource:
    config = world.settings(
        **{"reversed": PHRASES, "patterns": {"none": 1.0}, "text_dropout": 0.0, **changes}
    )
    return BatchSource(caches.open_cache(folder, "tiny"), config, stable_diffusion_levels())


@pytest.mark.parametrize(
    ("caption", "backwards"),
    [
        ("a red box moving left on grey", "a red box moving right on grey"),
        ("circling counterclockwise", "circling clockwise"),
        ("zooming in, then moving right", "zooming out, then moving left"),
        ("the box on the left is moving leftwards", None),
        ("zooming into the night", None),
        ("", None),
    ],
)
def test_a_caption_backwards_has_every_phrase_turned_round(caption, backwards):
    assert reversed_caption(caption, PHRASES) == backwards
    if backwards:
        assert reversed_caption(backwards, PHRASES) == caption


@pytest.mark.parametrize("text", ["moving left", "a=a", "=b", "up=down, down=up"])
def test_what_is_no_pair_is_refused(text):
    with pytest.raises(InvalidInputError, match=r"no pair of phrases|name every phrase once"):
        parse_reversed(text)


def test_new_captions_are_encoded_and_old_ones_keep_their_place(folder):
    clips = caches.open_cache(folder, "tiny")
    assert clips.captions == ("", *CAPTIONS)
    preparing.add_captions(folder, ["a box moving up", *CAPTIONS])
    preparing.write_captions(folder, "tiny", world.embed)
    assert caches.open_cache(folder, "tiny").captions == (*clips.captions, "a box moving up")
    assert list(opposites(clips.captions, PHRASES)) == [-1, 2, 1, -1]


def test_a_reversed_caption_that_was_never_encoded_is_refused():
    with pytest.raises(
        InvalidInputError, match="'a box moving right' of a clip played backwards is not in the"
    ):
        opposites(("", "a box moving left"), PHRASES)


def test_half_of_the_clips_that_have_a_sense_are_played_backwards_and_say_so(folder):
    batches, seen = source(folder, batch=60), set()
    batch = batches.draw(0)
    for frames, text in zip(batch.latents.unflatten(0, (60, 4)), batch.text, strict=True):
        values = frames[:, 0, 0, 0]
        told = CAPTIONS[int(values[0]) // 10 % 3]
        backwards = bool(values[1] < values[0])
        if backwards:
            told = reversed_caption(told, PHRASES)
        assert told is not None, "a clip without a sense stays as it is"
        assert torch.equal(values.diff().sign(), torch.full((3,), -1.0 if backwards else 1.0))
        torch.testing.assert_close(text, world.encode([told])[0], rtol=1e-3, atol=1e-3)
        seen.add((backwards, "left" in told, "right" in told))
    assert {(True, True, False), (True, False, True), (False, True, False), (False, False, False)} <= seen


def test_a_clip_that_comes_back_is_shown_without_its_one_way_caption(folder):
    batch = source(folder, batch=8, patterns={"loop": 1.0}).draw(0)
    assert torch.equal(batch.text, world.encode([""]).expand_as(batch.text))
    assert torch.equal(batch.latents[::4], batch.latents[3::4])


def test_no_frames_are_given_at_first(folder):
    batches = source(folder, batch=4, steps=10, text_first=0.5, patterns={"first": 1.0})
    assert [int(batches.draw(step).known_mask.sum()) for step in (0, 4, 5, 9)] == [0, 0, 4, 4]


def test_clips_for_checks_are_never_trained_on(folder):
    batches = source(folder, batch=200, check_clips=3)
    assert list(batches.held_out) == [7, 9, 10], "the last that have a sense; 8 and 11 stand still"
    trained = {int(value) // 10 for value in batches.draw(0).latents[:, 0, 0, 0]}
    assert trained == set(range(12)) - {7, 9, 10}
    with pytest.raises(
        InvalidInputError, match="8 clips are to be kept for checks, but only 8 have a caption"
    ):
        source(folder, check_clips=8)
    with pytest.raises(InvalidInputError, match="check_clips needs phrases"):
        replace(batches.config, reversed={})


@pytest.mark.parametrize(("error_of_right", "known"), [(1.0, 1.0), (3.0, 0.0)])
def test_the_check_counts_clips_that_the_right_word_fits_better(folder, monkeypatch, error_of_right, known):
    """Against a model whose error is known: 2 with the words for the opposite, else the one given."""
    trainer = world.make_trainer(
        caches.open_cache(folder, "tiny"),
        world.ImageModel(),
        reversed=PHRASES,
        check_clips=7,
        steps=2,
        batch=3,
    )
    right = world.encode([CAPTIONS[n % 3] for n in range(12)])

    def told(batch):
        clips = batch.latents[:: batch.num_frames, 0, 0, 0].long() // 10
        fits = (batch.text - right[clips]).abs().amax((1, 2)) < 1e-3
        errors = torch.where(fits, error_of_right, 2.0).sqrt().repeat_interleave(batch.num_frames)
        return torch.ones_like(batch.latents) * errors[:, None, None, None], torch.zeros_like(batch.latents)

    monkeypatch.setattr(trainer, "prediction_and_target", told)
    check = check_sense(trainer)
    assert check.known == (known,) * len(LEVELS) and check.clips == 7 and check.least_known == known
    assert check.gap == pytest.approx([(2 - error_of_right) / error_of_right] * len(LEVELS))
    assert "7 clips" in str(check) and f"pure noise {known:.2f}" in str(check)


@pytest.mark.slow
def test_a_check_is_the_same_every_time_and_changes_no_weight(folder):
    trainer = world.make_trainer(
        caches.open_cache(folder, "tiny"), world.ImageModel(), reversed=PHRASES, check_clips=4, steps=4
    )
    trainer.run(until=2)
    weights = {name: value.clone() for name, value in trainer.stack.state_dict().items()}
    assert check_sense(trainer) == check_sense(trainer)
    assert all(torch.equal(value, weights[name]) for name, value in trainer.stack.state_dict().items())
    trainer.finished = True
    trainer.run()
    assert trainer.step == 2, "a run that is told to stop takes no further step"


def test_levels_of_a_check_go_from_pure_noise_down(folder):
    batches = source(folder, check_clips=4, batch=3)
    pieces = list(batches.checks(999, 0.0))
    assert [len(batch.latents) // 4 for batch, _ in pieces] == [3, 1]
    batch, opposite = pieces[0]
    noisy = batches.noise_levels.add_noise(batch.latents, batch.noise, batch.t, batch.signal)
    torch.testing.assert_close(noisy, batch.noise)
    told = [CAPTIONS[n % 3] for n in batches.held_out[:3]]
    expected = world.encode([reversed_caption(caption, PHRASES) for caption in told])
    torch.testing.assert_close(opposite, expected, rtol=1e-3, atol=1e-3)
    assert np.allclose(batch.fps, 8.0)


def test_every_way_of_the_toy_world_has_its_opposite_but_for_cars():
    """A scene's caption backwards is that of a scene: the toy recipe names the words that the world uses."""
    from video_ldm.demo.train.temporal import REVERSED
    from video_ldm.demo.world import caption, sample

    phrases, seen = parse_reversed(REVERSED), set()
    captions = {caption(sample(np.random.default_rng(seed))) for seed in range(300)}
    for told in captions:
        backwards = reversed_caption(told, phrases)
        assert (backwards is None) == ("standing" in told or "car" in told)
        if backwards:
            seen |= {phrase for phrase in phrases if re.search(rf"\b{phrase}\b", told)}
            assert reversed_caption(backwards, phrases) == told != backwards
    assert seen == phrases.keys()
