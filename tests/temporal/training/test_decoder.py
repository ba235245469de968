"""Training of a temporal decoder.

Losses are what they say, flicker falls and nothing else moves, runs resume exactly.
"""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from video_ldm.temporal.decoder import DecoderConfig, DecoderShape, TemporalDecoder
from video_ldm.temporal.decoder.plan import plan_decoder
from video_ldm.temporal.errors import CheckpointFormatError, IncompatibleModelError, InvalidInputError
from video_ldm.temporal.training.checkpoint import load_state, save_state
from video_ldm.temporal.training.decoder.adversary import (
    Adversary,
    ClipDiscriminator,
    adaptive_weight,
    discriminator_loss,
    generator_loss,
)
from video_ldm.temporal.training.decoder.config import DecoderTrainingConfig
from video_ldm.temporal.training.decoder.perceptual import random_features, vgg_features
from video_ldm.temporal.training.decoder.trainer import (
    DecoderTrainer,
    flicker_of_error,
    keep_still,
    reconstruction_loss,
    site_scales,
)
from video_ldm.temporal.weights.files import write_weights

SHAPE = DecoderShape("kl", channels=8, channel_mult=(1,), num_res_blocks=0)
CONFIG = DecoderTrainingConfig(steps=40, warmup=2, learning_rate=2e-2, ema=0.8, perceptual=0.0)


class Problem:
    """Still clips whose latents flicker, a small image decoder, and a trainer of new layers.

    They are always the same ones.
    """

    def __init__(self, **changes):
        torch.manual_seed(0)
        self.image = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in ((4, 8), (8, 8), (8, 8), (8, 8), (8, 3)))
        with torch.no_grad():
            still = torch.randn(1, 4, 16, 16)
            self.still = still.expand(5, -1, -1, -1)
            self.frames = self.run(self.still, lambda _, hidden: hidden)
        self.before = copy.deepcopy(self.image.state_dict())
        self.decoder = TemporalDecoder(DecoderConfig(SHAPE, base="tiny"))
        config = replace(CONFIG, **changes)
        self.trainer = DecoderTrainer(self.decoder, self.run, self.draw, config, self.image)

    def run(self, latents, at_site):
        x = self.image[0](latents)
        for conv, site in zip(self.image[1:4], plan_decoder(SHAPE), strict=True):
            x = at_site(site, torch.tanh(conv(x)))
        return self.image[4](x)

    def draw(self, step):
        noise = torch.randn(self.still.shape, generator=torch.Generator().manual_seed(step))
        return self.still + 0.3 * noise, self.frames

    @torch.no_grad()
    def measure(self):
        latents, frames = self.draw(10**6)
        decoded = self.run(latents, self.decoder)
        return flicker_of_error(decoded, frames).item(), (decoded - frames).abs().mean().item()


def test_flicker_is_the_change_of_the_error():
    frames = torch.rand(4, 3, 2, 2)
    assert flicker_of_error(frames + 0.3, frames) == pytest.approx(0, abs=1e-6)
    shaking = frames + 0.1 * torch.tensor([0.0, 1.0, 0.0, 1.0])[:, None, None, None]
    assert flicker_of_error(shaking, frames).item() == pytest.approx(0.1, rel=1e-4)
    assert reconstruction_loss(shaking, frames, 3.0).item() == pytest.approx(0.05 + 0.3, rel=1e-4)
    assert reconstruction_loss(shaking[1:2], frames[1:2], 3.0).item() == pytest.approx(0.1, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"perceptual": 0.1}, {"adversarial": 0.3, "adversary_start": 5}])
def test_flicker_and_error_fall_and_the_image_decoder_stays(changes):
    problem = Problem(adversary_channels=8, **changes)
    flicker_before, error_before = problem.measure()
    problem.trainer.run()
    with problem.trainer.average.applied_to(problem.trainer.trained):
        flicker_after, error_after = problem.measure()
    assert flicker_after < 0.8 * flicker_before
    assert error_after < 0.95 * error_before
    assert all(torch.equal(value, problem.before[name]) for name, value in problem.image.state_dict().items())


@pytest.mark.slow
def test_the_whole_decoder_trains_where_asked():
    problem = Problem(image_learning_rate=1e-3)
    problem.trainer.run(3)
    changed = {
        name
        for name, value in problem.image.state_dict().items()
        if not torch.equal(value, problem.before[name])
    }
    assert changed == set(problem.before)


def test_a_still_clip_stays_as_the_image_decoder_decodes_it():
    problem = Problem()
    problem.trainer.run(5)
    with torch.no_grad():
        decoded = problem.run(problem.still, problem.decoder)
    torch.testing.assert_close(decoded, problem.frames, rtol=0, atol=1e-5)
    free = Problem(keep_still=False)
    free.trainer.run(5)
    with torch.no_grad():
        assert (free.run(free.still, free.decoder) - free.frames).abs().max() > 1e-3


def test_keep_still_leaves_what_is_already_so():
    problem = Problem()
    problem.trainer.run(3)
    weights = copy.deepcopy(problem.decoder.state_dict())
    keep_still(problem.decoder)
    for name, value in problem.decoder.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=1e-7)


def test_rates_follow_the_size_of_the_activations():
    problem = Problem()
    scales = site_scales(problem.run, problem.draw(0)[0])
    problem.image[1].weight.data *= 1e-3
    problem.image[1].bias.data *= 1e-3
    smaller = site_scales(problem.run, problem.draw(0)[0])
    first, *_ = problem.decoder.layers
    assert smaller[first] < 0.01 * scales[first]
    rates = [group["scale"] for group in problem.trainer.optimizer.param_groups]
    assert rates == [*scales.values(), 1.0]


@pytest.mark.slow
@pytest.mark.parametrize("adversarial", [0.0, 0.3])
def test_a_resumed_run_goes_on_bit_for_bit(tmp_path, adversarial):
    changes = {"adversarial": adversarial, "adversary_start": 2, "adversary_channels": 8, "perceptual": 0.1}
    straight = Problem(**changes)
    straight.trainer.run(6)
    first = Problem(**changes)
    first.trainer.run(3)
    save_state(tmp_path / "state.pt", first.trainer.state_dict())
    second = Problem(**changes)
    second.trainer.load_state_dict(load_state(tmp_path / "state.pt"))
    second.trainer.run(6)
    assert second.trainer.losses == straight.trainer.losses
    for name, value in straight.decoder.state_dict().items():
        assert torch.equal(second.decoder.state_dict()[name], value)
    averages = (trainer.average.average for trainer in (straight.trainer, second.trainer))
    assert all(torch.equal(a, b) for a, b in zip(*(x.values() for x in averages), strict=True))


def test_a_state_of_other_weights_is_refused():
    state = Problem().trainer.state_dict()
    with pytest.raises(IncompatibleModelError, match="another shape or other losses"):
        Problem(image_learning_rate=1e-3).trainer.load_state_dict(state)
    with pytest.raises(IncompatibleModelError, match="another shape or other losses"):
        Problem(adversarial=0.1).trainer.load_state_dict(state)


def test_hinge_losses_by_hand():
    real, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0, 0.0])
    assert discriminator_loss(real, fake).item() == pytest.approx(0.5 * (0.25 + 0.5))
    assert generator_loss(fake).item() == pytest.approx(1.5)
    assert adaptive_weight(torch.tensor([3.0, 4.0]), torch.tensor([0.0, 0.5])).item() == pytest.approx(
        10, rel=1e-4
    )
    assert adaptive_weight(torch.ones(2), torch.zeros(2)).item() == 1e4


def test_an_adversary_pushes_towards_what_looks_real_as_hard_as_the_other_losses_pull():
    torch.manual_seed(0)
    adversary = Adversary(ClipDiscriminator(8), 1e-3)
    decoded = torch.rand(3, 3, 16, 16, requires_grad=True)
    pull = torch.randn(3, 3, 16, 16)
    push = adversary.push(decoded, pull)
    assert push.norm().item() == pytest.approx(pull.norm().item(), rel=1e-3)
    before, after = (adversary.discriminator(x.detach()).mean() for x in (decoded, decoded - 1e-3 * push))
    assert after > before


@pytest.mark.parametrize("num_frames", [1, 3, 8])
def test_the_discriminator_sees_time(num_frames):
    torch.manual_seed(0)
    discriminator = ClipDiscriminator(8)
    frames = torch.rand(num_frames, 3, 40, 56)
    scores = discriminator(frames)
    assert scores.shape == (1, 1, num_frames, 5, 7)
    if num_frames > 1:
        assert not torch.allclose(discriminator(frames.flip(0)), scores.flip(2), atol=1e-6)


def test_random_features_are_always_the_same_and_tell_blur():
    pictures = torch.rand(2, 3, 32, 32)
    blurred = nn.functional.avg_pool2d(pictures, 3, stride=1, padding=1)
    distance = random_features()(blurred, pictures)
    assert distance == random_features()(blurred, pictures)
    assert distance > 10 * random_features()(pictures + 1e-3, pictures)
    assert random_features()(pictures, pictures) == 0


@pytest.mark.slow
def test_vgg_features_come_from_a_file(tmp_path):
    widths, tensors, number = (
        (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512),
        {},
        0,
    )
    here = 3
    for width in widths:
        if width:
            tensors[f"features.{number}.weight"] = torch.randn(width, here, 3, 3) / (9 * here) ** 0.5
            tensors[f"features.{number}.bias"] = torch.zeros(width)
            here = width
        number += 2 if width else 1
    write_weights(tmp_path / "vgg16.safetensors", tensors, {})
    features = vgg_features(tmp_path / "vgg16.safetensors")
    pictures = torch.rand(1, 3, 32, 32)
    assert features(pictures, pictures) == 0
    assert features(pictures, 1 - pictures) > 0.01
    del tensors["features.10.weight"]
    write_weights(tmp_path / "other.safetensors", tensors, {})
    with pytest.raises(
        CheckpointFormatError, match=r"does not hold the weights of VGG-16 \(features\.10\.weight"
    ):
        vgg_features(tmp_path / "other.safetensors")


def test_settings_that_make_no_sense_are_told():
    assert DecoderTrainingConfig.from_json(CONFIG.to_json()) == CONFIG
    for changes, message in (
        ({"steps": 0}, "steps is 0; give 1 or more"),
        ({"crop": 60}, "crop is 60; give a multiple of 8"),
        ({"adversarial": -1.0}, "adversarial is -1.0; give 0 for none"),
        ({"ema": 1.0}, "ema is 1.0"),
        ({"precision": "fp8"}, "choose fp32 or bf16"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            DecoderTrainingConfig(**changes)
