"""Noise schedule against closed forms, learning rate at its corners."""

from __future__ import annotations

import math

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.training.config import TrainingConfig
from video_ldm.temporal.training.loss import denoising_loss
from video_ldm.temporal.training.noise_levels import NoiseLevels, stable_diffusion_levels
from video_ldm.temporal.training.trainer import learning_rate


def test_betas_of_stable_diffusion():
    alphas = stable_diffusion_levels().alphas_cumprod
    assert len(alphas) == 1000
    assert alphas[0].item() == pytest.approx(1 - 0.00085)
    middle = [(0.00085**0.5 + i / 999 * (0.012**0.5 - 0.00085**0.5)) ** 2 for i in range(500)]
    assert alphas[499].item() == pytest.approx(math.prod(1 - beta for beta in middle), rel=1e-5)
    assert alphas[-1].item() == pytest.approx(0.00466, rel=2e-3)  # sigma_max 14.6 of the SD samplers


@pytest.mark.parametrize("target", ["eps", "v"])
def test_noise_and_targets_follow_the_paper(target):
    schedule = NoiseLevels(torch.tensor([0.64, 0.36]), target)
    x, noise = torch.randn(2, 4, 3, 5), torch.randn(2, 4, 3, 5)
    t = torch.tensor([0, 1])
    noisy = schedule.add_noise(x, noise, t)
    for frame, (alpha, sigma) in enumerate([(0.8, 0.6), (0.6, 0.8)]):
        torch.testing.assert_close(noisy[frame], alpha * x[frame] + sigma * noise[frame])
        expected = noise[frame] if target == "eps" else alpha * noise[frame] - sigma * x[frame]
        torch.testing.assert_close(
            schedule.training_target(x, noisy, t)[frame], expected, rtol=1e-4, atol=1e-5
        )
    clean, direction = schedule.split(noisy, schedule.training_target(x, noisy, t), t)
    torch.testing.assert_close(clean, x, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(direction, noise, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("target", ["eps", "v"])
def test_a_clip_drowned_in_noise_is_still_what_is_to_be_predicted(target):
    schedule = stable_diffusion_levels(target)
    x, noise = torch.randn(3, 4, 3, 5), torch.randn(3, 4, 3, 5)
    t, signal = torch.tensor([900, 950, 999]), torch.tensor([1.0, 0.5, 0.0])
    noisy = schedule.add_noise(x, noise, t, signal)
    torch.testing.assert_close(noisy[0], schedule.add_noise(x, noise, t)[0])
    torch.testing.assert_close(noisy[2], noise[2])
    clean, _ = schedule.split(noisy, schedule.training_target(x, noisy, t), t)
    torch.testing.assert_close(clean, x, rtol=1e-3, atol=1e-4)


def test_loss_is_the_mean_square_over_all_frames():
    prediction, target = torch.randn(3, 2, 2, 2), torch.randn(3, 2, 2, 2)
    pairs = zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True)
    expected = sum((p - q) ** 2 for p, q in pairs) / 24
    assert denoising_loss(prediction, target).item() == pytest.approx(expected, rel=1e-5)
    assert denoising_loss(prediction.bfloat16(), target.bfloat16()).dtype == torch.float32


def test_weights_turn_the_error_of_the_noise_into_that_of_v():
    schedule = NoiseLevels(torch.tensor([0.64, 0.36, 0.0001]))
    t = torch.tensor([0, 1, 2])
    assert schedule.weight(t, limit=1.0).tolist() == [1, 1, 1]
    weight = schedule.weight(t, limit=10.0)
    assert weight.mean().item() == pytest.approx(1)
    x, noise, guess = torch.randn(3, 2, 2, 2).unbind()
    for alpha, sigma, row in ((0.8, 0.6, 0), (0.6, 0.8, 1)):
        noisy = alpha * x + sigma * noise
        v_error = alpha * (guess - noise) - sigma * ((noisy - sigma * guess) / alpha - x)
        ratio = v_error.square().mean() / (guess - noise).square().mean()
        assert weight[row] / weight[0] == pytest.approx(ratio.item() * 0.64, rel=1e-4)
    assert weight[2] / weight[0] == pytest.approx(10 * 0.64)
    predictions, targets = torch.randn(3, 2, 2, 2), torch.randn(3, 2, 2, 2)
    by_hand = (
        sum(w * (p - q).square().mean() for w, p, q in zip(weight, predictions, targets, strict=True)) / 3
    )
    torch.testing.assert_close(denoising_loss(predictions, targets, weight), by_hand)


def test_learning_rate_warms_up_and_falls_as_a_cosine():
    def rate(step):
        return learning_rate(step, peak=1.0, final=0.1, warmup=4, total=104)

    assert [rate(step) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert rate(4) == 1.0
    assert rate(54) == pytest.approx(0.55)
    assert rate(104) == pytest.approx(0.1)
    assert rate(1000) == pytest.approx(0.1)


@pytest.mark.parametrize("target", ["eps", "v"])
def test_min_snr_weighs_the_error_of_the_clean_clip(target):
    """The oracle is the error of x itself, weighed by min(SNR, gamma)."""
    levels = stable_diffusion_levels(target)
    t, x, noise = torch.tensor([20, 400, 990]), torch.randn(3, 4, 2, 2), torch.randn(3, 4, 2, 2)
    noisy = levels.add_noise(x, noise, t)
    wrong = levels.training_target(x, noisy, t) + 0.1 * torch.randn(3, 4, 2, 2)
    error = (wrong - levels.training_target(x, noisy, t)).square().flatten(1).mean(1)
    of_x = (levels.split(noisy, wrong, t)[0] - x).square().flatten(1).mean(1)
    signal = levels.alphas_cumprod[t]
    expected = (signal / (1 - signal)).clamp(max=5) * of_x
    torch.testing.assert_close(levels.min_snr_weight(t, 5.0) * error, expected, rtol=1e-3, atol=1e-6)


def test_one_weighting_at_a_time():
    with pytest.raises(InvalidInputError, match="min_snr is 5 and weight_limit 20; give a min_snr"):
        TrainingConfig(min_snr=5.0, weight_limit=20.0)
