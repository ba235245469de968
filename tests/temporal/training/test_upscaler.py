"""Training of a video upscaler.

It learns, one stage after the other, resumes bit for bit, and writes what the loader reads.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional
from video_ldm.temporal.errors import IncompatibleModelError, InvalidInputError
from video_ldm.temporal.training import checkpoint
from video_ldm.temporal.training import upscaler as trainer_module
from video_ldm.temporal.training.upscaler import UpscalerTrainer, UpscalerTrainingConfig, write_upscaler
from video_ldm.temporal.upscaler import VideoUpscaler, load_upscaler
from video_ldm.temporal.upscaler.model import enlarge
from video_ldm.tests.temporal.upscaler.tiny import TINY

CONFIG = UpscalerTrainingConfig(
    num_frames=3, steps=6, spatial_steps=3, given_steps=1, warmup=1, learning_rate=1e-2
)


def draw(step):
    """Still stripes at random places: two clips of three frames."""
    rng = np.random.default_rng(step)
    x = torch.arange(32.0)
    rows = [(torch.sin(0.9 * x + rng.uniform(0, 6)) > 0).float() * 0.5 + 0.25 for _ in range(2)]
    large = torch.stack(rows)[:, None, None, None].expand(2, 3, 3, 32, 32).reshape(6, 3, 32, 32)
    return functional.avg_pool2d(large, 4), large


def seen_by(trainer, monkeypatch, steps):
    """Arguments of the network in a number of steps that do not train."""
    drawn, forward = [], trainer.upscaler.forward
    monkeypatch.setattr(trainer.upscaler, "forward", lambda *given: (drawn.append(given), forward(*given))[1])
    for step in range(steps):
        trainer.step = step
        trainer.loss(*draw(step))
    return [torch.cat(values) for values in list(zip(*drawn, strict=True))[:4]]


def make(**changes):
    torch.manual_seed(0)
    return UpscalerTrainer(VideoUpscaler(replace(TINY, residual_std=0.2)), draw, replace(CONFIG, **changes))


def weights(trainer, temporal):
    return {n: v.clone() for n, v in trainer.upscaler.state_dict().items() if (".temporal." in n) == temporal}


def equal(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.slow
def test_the_loss_falls():
    trainer = make(steps=80, spatial_steps=80, given_steps=0)
    trainer.run()
    assert sum(trainer.losses[-15:]) < 0.8 * sum(trainer.losses[:15])


def test_each_stage_trains_its_own_weights_and_all_of_them():
    trainer = make()
    start = weights(trainer, False), weights(trainer, True)
    trainer.run(until=3)
    assert not equal(start[0], weights(trainer, False)) and equal(start[1], weights(trainer, True))
    trainer.finish_stage()
    averaged = weights(trainer, False)
    trainer.run()
    assert equal(averaged, weights(trainer, False))  # frozen, as the first stage left them on average
    still = [name for name, value in weights(trainer, True).items() if torch.equal(value, start[1][name])]
    assert not still


def test_temporal_layers_alone_can_be_trained_for_an_upscaler_that_exists():
    trainer = make(spatial_steps=0, given_steps=0, steps=2)
    before = weights(trainer, False)
    trainer.run()
    assert equal(before, weights(trainer, False))


@pytest.mark.slow
@pytest.mark.parametrize("pause", [1, 2, 3, 5])
def test_resumed_training_is_bit_identical(tmp_path, pause):
    straight = make()
    straight.run()
    interrupted = make()
    interrupted.run(until=pause)
    checkpoint.save_state(tmp_path / "state.pt", interrupted.state_dict())
    torch.manual_seed(99)
    resumed = UpscalerTrainer(VideoUpscaler(straight.upscaler.config), draw, CONFIG)
    resumed.load_state_dict(checkpoint.load_state(tmp_path / "state.pt"))
    resumed.run()
    assert resumed.losses == straight.losses
    assert equal(straight.upscaler.state_dict(), resumed.upscaler.state_dict())
    assert equal(straight.average.average, resumed.average.average)


@pytest.mark.slow
def test_the_two_noise_levels_are_drawn_apart(monkeypatch):
    trainer = make(given_steps=0)
    _, _, time, level = seen_by(trainer, monkeypatch, 60)
    assert level.max() <= TINY.max_noise_level and 0.3 < (level == 0).float().mean() < 0.7
    assert time.min() < 0.05 and 0.1 < (time == 1).float().mean() < 0.3
    assert 0.3 < time[time < 1].median() < 0.7
    assert abs(torch.corrcoef(torch.stack([time, level]))[0, 1]) < 0.2
    assert (level.reshape(-1, 3) == level.reshape(-1, 3)[:, :1]).all()


def test_the_first_steps_show_the_given_frames_alone_and_ask_for_what_is_missing(monkeypatch):
    trainer = make()
    noisy, _, time, level = seen_by(trainer, monkeypatch, 20)
    assert noisy.abs().max() < 1e-6 and (time == 1).all() and (level == 0).all()
    given, large = draw(0)
    missing = (large - enlarge(given, 4)).square().mean() / 0.2**2  # of which a new upscaler tells nothing
    assert trainer.loss(given, large).item() == pytest.approx(missing.item())
    assert [trainer.config.stage(step) for step in range(4)] == ["given", "spatial", "spatial", "temporal"]
    assert [trainer.config.rate(step) for step in (0, 1, 3)] == [1e-2] * 3


def test_frames_of_a_clip_share_noise_once_layers_in_time_train(monkeypatch):
    seen = []
    monkeypatch.setattr(trainer_module, "add_noise", lambda x, noise, time: seen.append(noise) or x)
    for share, stage in ((None, 1), (0.8, 0), (0.8, 1)):
        torch.manual_seed(0)
        trainer = UpscalerTrainer(VideoUpscaler(replace(TINY, shared_noise=share)), draw, CONFIG)
        trainer._enter("temporal" if stage else "spatial")
        trainer.loss(*draw(0))
        first, second, _, other = (noise.flatten() for noise in seen[-1][:4])
        expected = 0.8 if share and stage else 0.0
        assert torch.corrcoef(torch.stack([first, second]))[0, 1] == pytest.approx(expected, abs=0.1)
        assert torch.corrcoef(torch.stack([first, other]))[0, 1] == pytest.approx(0, abs=0.1)


def test_the_file_holds_the_average(tmp_path):
    trainer = make(steps=3)
    trainer.run()
    write_upscaler(tmp_path / "up.safetensors", trainer, {"note": "x"})
    loaded = load_upscaler(tmp_path / "up.safetensors")
    name = next(iter(trainer.average.average))
    assert torch.equal(loaded.state_dict()[name], trainer.average.average[name].half())


def test_mistakes_are_refused():
    with pytest.raises(InvalidInputError, match="spatial_steps is 9 of 6 steps"):
        replace(CONFIG, spatial_steps=9)
    with pytest.raises(InvalidInputError, match="given_steps is 4 of 3 spatial steps"):
        replace(CONFIG, given_steps=4)
    with pytest.raises(InvalidInputError, match="precision is 'fp8'"):
        replace(CONFIG, precision="fp8")
    trainer = make()
    with pytest.raises(IncompatibleModelError, match="another shape"):
        trainer.load_state_dict(trainer.state_dict() | {"upscaler_config": "{}"})
    trainer.draw = lambda step: tuple(x * float("nan") for x in draw(step))
    with pytest.raises(IncompatibleModelError, match="not a number before anything was learned"):
        trainer.run()
