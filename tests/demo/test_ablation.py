"""The arms of benchmarks/toy_world/ablation.py differ in what they are named after, its numbers find gaps."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from video_ldm.benchmarks.toy_world import ablation, ablation_world
from video_ldm.benchmarks.toy_world.ablation_judge import change, compared, features
from video_ldm.benchmarks.toy_world.ablation_world import ARMS, Arm, Clips, new_layers
from video_ldm.demo.world.classifier import load_classifier
from video_ldm.temporal.training.noise_levels import stable_diffusion_levels

CAPTIONS = [["a cross moving right", "a cross"], ["a circle moving up", "a circle"]]


@pytest.fixture
def clips(tmp_path) -> Clips:
    """Two clips at 32 frames a second whose frames say which one they are; one corner flickers."""
    frames = np.arange(20, dtype=np.float16)[None, :, None, None, None]
    latents = np.zeros((2, 20, 4, 16, 16), np.float16) + frames
    latents[..., 8:, 8:] *= 3
    np.save(tmp_path / "latents.npy", latents)
    (tmp_path / "captions.json").write_text(json.dumps(CAPTIONS))
    (tmp_path / "ready.json").write_text(json.dumps({"clips": 2, "of": 2, "fps": 32.0}))
    return Clips([tmp_path])


def test_attention_only_has_no_convolution_and_the_weights_of_both():
    both, alone = (new_layers(Arm(convolutions=kept), 1) for kept in (True, False))
    kinds = [site.kind for site in alone.sites]
    assert kinds == ["transformer"] * 9 and len(alone.layers) == 9
    weights = [sum(weight.numel() for weight in layers.parameters()) for layers in (both, alone)]
    assert weights[1] / weights[0] == pytest.approx(1, abs=0.01)


def test_windows_are_at_8_frames_a_second_where_most_changes(clips):
    dice = np.random.default_rng(0)
    windows = np.stack([clips.window(0, dice) for _ in range(40)])
    assert windows.shape == (40, 4, 4, 8, 8)
    assert (np.diff(windows, axis=1) >= 4).all()  # every fourth frame of 32 a second
    changing = (np.diff(windows, axis=1) > 4).mean()
    assert changing > 0.45  # a square placed at random has a quarter of its places in the corner


@pytest.mark.parametrize("name", ["attention only", "end to end", "all weights, from the image model"])
def test_only_arms_that_say_so_train_the_image_model(host, name, clips):
    learner = ablation.Learner.new(ARMS[name], 1)
    given = ablation_world.image_model(Arm(), 1, ablation.load_file(ablation.CHECKPOINT)).state_dict()
    begun = {key: value.clone() for key, value in learner.image.state_dict().items()}
    key = "input_blocks.1.0.in_layers.2.weight"
    assert torch.equal(begun[key], given[key]) == (name != "end to end")
    noise = stable_diffusion_levels()
    text = {caption: torch.zeros(77, 48) for caption in ["", *clips.captions]}
    world = ablation.World(None, noise, clips, clips, text)
    model = learner.model(learner.learns, noise)
    for step in range(2):  # the residual branches of new weights open with the first
        loss = ablation.loss_of(model.denoise, model.stack, world, 1, step, 2)
        ablation.descend(loss, learner.optimizer, learner.learns)
    moved = not torch.equal(learner.image.state_dict()[key], begun[key])
    assert moved == (name != "attention only")


def test_the_gap_of_arms_has_an_interval_of_the_same_clips():
    dice = np.random.default_rng(1)
    near = {seed: dice.normal(size=(100, 3)) for seed in (1, 2)}
    far = {seed: 10 * clips + 1 for seed, clips in near.items()}
    found = compared(
        {"near": near, "far": far, "farther": {2: far[2] + 1}}, lambda clips: clips.mean(), "near"
    )
    gap, low, high = found["far"]["more"]
    assert low < gap < high and gap == pytest.approx(1 + 9 * np.mean([c.mean() for c in near.values()]))
    assert found["near"]["more"] == (0, 0, 0)
    assert found["farther"]["more"][0] == pytest.approx(2 + 9 * near[2].mean())  # of the seed that both have
    steady = compared(
        {"near": near, "beside": {k: v + 1 for k, v in near.items()}}, lambda c: c.mean(), "near"
    )
    assert steady["beside"]["more"] == pytest.approx((1, 1, 1))  # what both arms share cancels
    assert np.ptp(steady["beside"]["value"]) > 0.1


def test_clips_that_hold_together_badly_are_farther_from_drawn_ones():
    judge, dice = load_classifier(ablation.MODELS / "toy_classifier.safetensors"), np.random.default_rng(2)
    frames = dice.integers(0, 255, (40, 1, 1, 1, 3), dtype=np.uint8) * np.ones((1, 4, 64, 64, 1), np.uint8)
    shuffled = frames.copy()
    shuffled[:, 1:] = frames[dice.permutation(40), 1:]
    steady, torn = features(judge, frames), features(judge, shuffled)
    assert steady.shape == (40, 3 * 128)
    assert np.array_equal(steady[:, :128], torn[:, :128])  # the first frame
    assert not np.array_equal(steady[:, 128:256], torn[:, 128:256])  # the last one
    assert np.ptp(steady[:, 256:], axis=0).max() == 0 < np.ptp(torn[:, 256:], axis=0).max()  # the changes
    assert change(frames).max() == 0 < change(shuffled).mean()
