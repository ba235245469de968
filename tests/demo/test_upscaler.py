"""The toy world drawn large, the toy upscaler's patches, and the measures of its benchmark."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from video_ldm.benchmarks.toy_world import upscaler as benchmark
from video_ldm.demo import world
from video_ldm.demo.train import upscaler as train
from video_ldm.demo.world.classifier import frechet_distance, load_classifier
from video_ldm.temporal.upscaler import load_upscaler

SIDE = 256  # of the part of a clip that is measured


def scenes(count=6):
    rng = np.random.default_rng(3)
    kinds = ("left", "still", "camera", "road", "clockwise", "up")
    return [world.sample(rng, "train", kinds[number % len(kinds)]) for number in range(count)]


@pytest.mark.slow
def test_a_scene_drawn_large_is_the_scene_with_detail():
    for scene in scenes():
        large = torch.from_numpy(world.render(scene, 2, scale=4)).permute(0, 3, 1, 2).float()
        small = torch.from_numpy(world.render(scene, 2)).permute(0, 3, 1, 2).float()
        assert large.shape == (2, 3, 512, 512)
        assert (functional.avg_pool2d(large, 4) - small).abs().mean() < 2.5
        detail = large - functional.interpolate(small, scale_factor=4, mode="nearest")
        assert detail.std() > 4


def test_the_grain_stays_with_the_ground():
    still = next(
        scene for scene in scenes() if scene.motion == "still" and not scene.cars and scene.camera == "still"
    )
    frames = world.render(still, 3, scale=4)
    assert np.array_equal(frames[0], frames[2])


def test_patches_of_a_step_are_always_the_same_and_come_from_the_training_split():
    draw = train.Patches(seed=1, scenes=1, patches=2, side=16, single=4)
    given, large = draw(4)
    assert given.shape == (16, 3, 16, 16) and large.shape == (16, 3, 64, 64)
    again = draw(4)
    assert torch.equal(given, again[0]) and torch.equal(large, again[1])
    torch.testing.assert_close(functional.avg_pool2d(large, 4), given)
    assert not torch.equal(draw(5)[1], large)


def test_pictures_come_from_more_scenes_than_clips(monkeypatch):
    draw, asked = train.Patches(seed=1, scenes=1, patches=2, side=16, single=4), []
    whole = train.clip
    monkeypatch.setattr(train, "clip", lambda *given: asked.append(given[3]) or whole(*given))
    assert draw(3)[1].shape == draw(4)[1].shape == (16, 3, 64, 64)
    assert asked == [2, 2, 8]


@pytest.mark.slow
def test_the_video_distance_sees_flicker_that_the_picture_distance_does_not():
    """Grain that is new in each frame against grain that stays: pictures alike, clips apart."""
    judge = load_classifier(benchmark.MODELS / "toy_classifier.safetensors")
    true = [train.clip(scene, 16.0, 0.0, 3)[..., :SIDE, :SIDE] for scene in scenes()]
    generator = torch.Generator().manual_seed(0)

    def grained(each_frame):
        shape = (3, 3, SIDE, SIDE) if each_frame else (1, 3, SIDE, SIDE)
        return [frames + 0.03 * torch.randn(shape, generator=generator) for frames in true]

    def seen(clips):
        return benchmark.picture_features(judge, clips), benchmark.video_features(judge, clips)

    def distances(clips):
        return [frechet_distance(made, drawn) for made, drawn in zip(seen(clips), truth, strict=True)]

    stays, flickers, truth = grained(False), grained(True), seen(true)
    (fid_stays, fvd_stays), (fid_flickers, fvd_flickers) = distances(stays), distances(flickers)
    assert fid_flickers == pytest.approx(fid_stays, rel=0.3)
    assert fvd_flickers > 2 * fvd_stays
    assert distances(true) == pytest.approx([0, 0], abs=1e-3)


def test_training_goes_on_from_an_upscaler_whose_frames_share_noise_from_then_on():
    """The weights are those of the file; only the share of the noise is another."""
    file = Path(benchmark.MODELS) / "toy_upscaler.safetensors"
    begun = train.begin(argparse.Namespace(init=file, shared_noise=0.9))
    given = train.load_upscaler(file, dtype=torch.float32)
    assert begun.config == replace(given.config, shared_noise=0.9)
    for ours, theirs in zip(begun.parameters(), given.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    new = train.begin(argparse.Namespace(init=None, shared_noise=0.5))
    assert new.config.shared_noise == 0.5
    assert not torch.equal(next(new.parameters()), next(given.parameters()))


def test_a_new_upscaler_misses_at_edges_what_bicubic_misses():
    large = torch.rand(2, 3, 64, 64)
    ours, bicubic = train.missed_at_edges(train.VideoUpscaler(replace(train.TOY, residual_std=0.1)), large)
    assert ours == bicubic > 0


def test_the_toy_upscaler_looks_at_the_given_frames():
    """It knows better than bicubic where an edge is, with nothing but noise beside what is given."""
    upscaler = load_upscaler(benchmark.MODELS / "toy_upscaler.safetensors", dtype=torch.float32)
    pairs = [train.missed_at_edges(upscaler, large[:1]) for large in benchmark.held_out_clips(4)]
    ours, bicubic = np.sum(pairs, 0)
    assert ours < 0.8 * bicubic
