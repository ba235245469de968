"""EDM in the scaling of Stable Video Diffusion, against its closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from video_ldm.temporal.errors import IncompatibleModelError, InvalidInputError
from video_ldm.temporal.training.video_model.config import VideoModelConfig
from video_ldm.temporal.training.video_model.edm import EdmLevels, euler
from video_ldm.temporal.training.video_model.trainer import GivenClips, VideoModelTrainer, partly_without


def best(variance: float):
    """The best output for normal latents of a variance, which is known in closed form."""

    def predict(x: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        sigma = (4 * level).exp().view(-1, 1, 1, 1)
        noisy = x * (sigma**2 + 1).sqrt()
        clean = variance / (variance + sigma**2) * noisy
        return (noisy / (sigma**2 + 1) - clean) * (sigma**2 + 1).sqrt() / sigma

    return predict


def test_what_is_clean_comes_of_the_scaling_of_the_paper():
    x, sigma = torch.randn(2, 3, 4, 4), torch.tensor([0.5, 8.0])
    seen = {}

    def predict(scaled, level):
        seen.update(scaled=scaled, level=level)
        return torch.full_like(scaled, 2.0)

    clean = EdmLevels().clean(predict, x, sigma)
    for n, s in enumerate(sigma.tolist()):
        assert torch.allclose(seen["scaled"][n], x[n] / math.sqrt(s * s + 1))
        assert float(seen["level"][n]) == pytest.approx(math.log(s) / 4)
        assert torch.allclose(clean[n], x[n] / (s * s + 1) - 2 * s / math.sqrt(s * s + 1))


def test_the_loss_is_the_plain_error_of_v():
    x, noise = torch.randn(4, 3, 4, 4), torch.randn(4, 3, 4, 4)
    sigma = torch.tensor([0.01, 0.7, 5.0, 300.0])
    wide = sigma.view(-1, 1, 1, 1)
    v = (noise - wide * x) / (wide**2 + 1).sqrt()
    loss = EdmLevels().loss(lambda scaled, _: torch.zeros_like(scaled), x, noise, sigma)
    assert float(loss) == pytest.approx(float(v.square().mean()), rel=1e-3)
    assert float(EdmLevels().loss(lambda *_: v, x, noise, sigma)) == pytest.approx(0, abs=1e-9)


def test_the_loss_is_the_weighted_error_of_what_is_clean():
    x, noise = torch.randn(3, 3, 4, 4).double(), torch.randn(3, 3, 4, 4).double()
    sigma = torch.tensor([0.2, 1.5, 40.0]).double()

    def predict(scaled, level):
        return scaled.sin() + level.view(-1, 1, 1, 1)

    wide = sigma.view(-1, 1, 1, 1)
    clean = EdmLevels().clean(predict, x + wide * noise, sigma)
    oracle = ((1 + wide**2) / wide**2 * (clean - x).square()).mean()
    assert float(EdmLevels().loss(predict, x, noise, sigma)) == pytest.approx(float(oracle), rel=1e-5)


def test_strengths_are_log_normal_and_one_for_a_clip():
    sigma = EdmLevels(0.7, 1.6).draw(20000, 3, torch.Generator().manual_seed(0)).view(-1, 3)
    assert bool((sigma == sigma[:, :1]).all())
    assert float(sigma.log().mean()) == pytest.approx(0.7, abs=0.05)
    assert float(sigma.log().std()) == pytest.approx(1.6, abs=0.05)


def test_sampling_with_the_best_network_gives_the_spread_of_the_clips():
    noise = torch.randn(400, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    made = euler(best(0.25), noise, 200, highest=80.0)
    assert float(made.std()) == pytest.approx(0.5, rel=0.05)


class Small(nn.Module):
    """A network of one convolution, which sees the given picture, its embedding and the label."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.label, self.seen = nn.Conv2d(4, 2, 1), nn.Linear(3, 2), nn.Linear(5, 2)
        self.frozen = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, x, level, clips):
        assert x.shape[1] == 4 and len(level) == len(clips.label) == len(clips.picture) == len(x)
        known = self.label(clips.label) + self.seen(clips.picture[:, 0])
        return self.conv(x) + known[..., None, None] + self.frozen * level.view(-1, 1, 1, 1)


def drawn(step: int) -> GivenClips:
    dice = torch.Generator().manual_seed(step)
    x = torch.randn(6, 2, 4, 4, generator=dice)
    return GivenClips(
        x, x.clone(), torch.randn(6, 1, 5, generator=dice), torch.randn(6, 3, generator=dice), 3
    )


def trainer_of(steps: int, model: nn.Module | None = None) -> VideoModelTrainer:
    torch.manual_seed(0)
    model = model or Small()
    config = VideoModelConfig(
        steps=steps, learning_rate=0.02, final_learning_rate=0.01, warmup=1, num_frames=3
    )
    return VideoModelTrainer(model, model, drawn, config)


def test_a_training_goes_on_from_its_state_bit_for_bit_and_learns():
    whole, first, second = trainer_of(40), trainer_of(40), trainer_of(40, Small())
    whole.run()
    first.run(until=15)
    second.load_state_dict(first.state_dict())
    second.run()
    assert whole.losses == second.losses
    for name, weight in whole.average.average.items():
        assert torch.equal(weight, second.average.average[name]), name
    assert sum(whole.losses[-10:]) < 0.9 * sum(whole.losses[:10])


def test_only_weights_that_ask_for_gradients_are_trained_and_kept():
    trainer = trainer_of(2)
    trainer.run()
    assert "frozen" not in trainer.trained and float(trainer.model.frozen) == 1
    assert trainer.state_dict()["trained"].keys() == trainer.average.average.keys() == trainer.trained.keys()


def test_the_state_of_another_model_is_refused():
    other = trainer_of(2).state_dict()
    other["trained"].pop("label.bias")
    with pytest.raises(IncompatibleModelError, match="resume with the same"):
        trainer_of(2).load_state_dict(other)


def test_some_clips_are_given_nothing_as_wholes():
    clips = drawn(0)
    some = partly_without(clips, 0.5, torch.Generator().manual_seed(2))
    for part in (some.given, some.picture):
        left = part.reshape(2, 3, -1).abs().sum(-1)
        assert bool(((left == 0) == (left[:, :1] == 0)).all()) and 0 < int((left == 0).sum()) < 6
    assert torch.equal((some.given == 0).all(-1).all(-1).all(-1), (some.picture == 0).all(-1).all(-1))
    assert torch.equal(some.label, clips.label) and torch.equal(some.latents, clips.latents)
    assert torch.equal(partly_without(clips, 0.0, torch.Generator()).given, clips.given)


@pytest.mark.parametrize(
    "values",
    [
        {"steps": 0},
        {"batch": 0},
        {"without": 1.0},
        {"ema": -0.1},
        {"learning_rate": math.nan},
        {"picture_noise": -1.0},
        {"gradient_clip": 0.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(values):
    with pytest.raises(InvalidInputError, match=next(iter(values))):
        VideoModelConfig(**values)
