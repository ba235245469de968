"""The loop: it learns, leaves the image model alone, and continues bit for bit after an interruption."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from video_ldm.temporal.errors import CheckpointFormatError, IncompatibleModelError
from video_ldm.temporal.training import checkpoint, report
from video_ldm.temporal.training.config import TrainingConfig
from video_ldm.temporal.training.ema import ExponentialMovingAverage
from video_ldm.temporal.training.sampling import SampledModel, ddim
from video_ldm.tests.temporal.training import world


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return world.make_cache(tmp_path_factory.mktemp("clips"))


@pytest.fixture
def image_model():
    torch.manual_seed(0)
    return world.ImageModel()


@pytest.mark.slow
def test_loss_falls_and_the_image_model_stays(cache, image_model):
    before = copy.deepcopy(image_model.state_dict())
    trainer = world.make_trainer(cache, image_model, steps=40, batch=4)
    trainer.run()
    assert sum(trainer.losses[-10:]) < 0.7 * sum(trainer.losses[:10])
    assert all(torch.equal(value, before[name]) for name, value in image_model.state_dict().items())
    assert all(p.grad is None for p in image_model.parameters())


def test_the_optimiser_holds_the_layers_and_nothing_else(cache, image_model):
    trainer = world.make_trainer(cache, image_model)
    held = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in trainer.stack.parameters()}


@pytest.mark.slow
def test_every_weight_of_the_layers_trains(cache, image_model):
    trainer = world.make_trainer(cache, image_model)
    before = copy.deepcopy(trainer.stack.state_dict())
    trainer.run()
    assert [n for n, value in trainer.stack.state_dict().items() if torch.equal(value, before[n])] == []


@pytest.mark.slow
def test_resumed_training_is_bit_identical(cache, image_model, tmp_path):
    straight = world.make_trainer(cache, image_model)
    straight.run()
    interrupted = world.make_trainer(cache, image_model)
    interrupted.run(until=3)
    checkpoint.save_state(tmp_path / "state.pt", interrupted.state_dict())
    torch.manual_seed(99)  # the state of torch's own generator does not matter
    resumed = world.make_trainer(cache, image_model)
    resumed.load_state_dict(checkpoint.load_state(tmp_path / "state.pt"))
    resumed.run()
    assert resumed.losses == straight.losses
    for name, value in straight.stack.state_dict().items():
        assert torch.equal(value, resumed.stack.state_dict()[name])
        assert torch.equal(straight.average.average[name], resumed.average.average[name])
    assert resumed.average.updates == straight.average.updates


def test_a_state_of_other_layers_is_refused(cache, image_model):
    trainer = world.make_trainer(cache, image_model)
    state = trainer.state_dict() | {"stack_config": "{}"}
    with pytest.raises(IncompatibleModelError, match="of another shape"):
        trainer.load_state_dict(state)


def test_accumulated_batches_count_as_one(cache, image_model):
    trainer = world.make_trainer(cache, image_model, accumulate=3, steps=1)
    parts = [trainer.loss(trainer.batches.draw(0, part)).item() for part in range(3)]
    trainer.run()
    assert trainer.losses[0] == pytest.approx(sum(parts) / 3, rel=1e-5)


def test_a_loss_that_is_no_number_stops_the_run(cache, image_model):
    image_model.conv_out.bias.fill_(math.nan)
    with pytest.raises(IncompatibleModelError, match="not a number before anything was learned"):
        world.make_trainer(cache, image_model).run()


def test_average_follows_its_recursion():
    module = torch.nn.Linear(2, 1)
    average = ExponentialMovingAverage(module, 0.9)
    expected = module.weight.detach().clone()
    for update in range(30):
        with torch.no_grad():
            module.weight.add_(1.0)
        average.update(module)
        decay = min(0.9, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * module.weight.detach()
    torch.testing.assert_close(average.average["weight"], expected)
    own = module.weight.detach().clone()
    with average.applied_to(module):
        torch.testing.assert_close(module.weight.detach(), expected)
    assert torch.equal(module.weight, own)


def test_a_crash_while_saving_leaves_the_old_state(tmp_path, monkeypatch):
    path = tmp_path / "run.state.pt"
    checkpoint.save_state(path, {"step": 1})
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.replace", lambda self, target: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            checkpoint.save_state(path, {"step": 2})
    assert checkpoint.load_state(path) == {"step": 1}
    checkpoint.save_state(path, {"step": 3})
    assert checkpoint.load_state(path) == {"step": 3}


def test_what_is_no_state_is_refused(tmp_path):
    with pytest.raises(CheckpointFormatError, match="leave out --resume"):
        checkpoint.load_state(tmp_path / "missing.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(CheckpointFormatError, match="no whole training state"):
        checkpoint.load_state(tmp_path / "text.pt")


def test_settings_travel_as_json():
    config = world.settings(strides=(1, 4), precision="bf16")
    assert TrainingConfig.from_json(config.to_json()) == config
    with pytest.raises(CheckpointFormatError, match="other settings"):
        TrainingConfig.from_json('{"steps": 3}')


def test_ddim_recovers_a_clip_from_a_perfect_prediction(cache, image_model):
    trainer = world.make_trainer(cache, image_model)
    schedule, clean = trainer.batches.noise_levels, cache.clip(0)[:4]

    def oracle(noisy, t, text, stack, clip, conditions=None):
        alpha, sigma = schedule.signal_and_noise(t, noisy)
        return (noisy - alpha * clean.repeat(2, 1, 1, 1)) / sigma

    from video_ldm.temporal.sampling.clip import Clip

    text = cache.embedding([1])
    model = SampledModel(oracle, trainer.stack, schedule)
    result = ddim(model, torch.randn_like(clean), text, text, Clip(4), steps=5)
    torch.testing.assert_close(result, clean, rtol=1e-3, atol=1e-3)


@pytest.mark.slow
def test_pictures_of_a_run_are_written(tmp_path):
    report.loss_curve(tmp_path / "loss.png", [1.0, 0.5, 0.4])
    report.contact_sheet(tmp_path / "clips.png", [torch.rand(3, 6, 5, 3)] * 2)
    from PIL import Image

    assert Image.open(tmp_path / "clips.png").size == (15, 12)
    assert (tmp_path / "loss.png").stat().st_size > 1000


def test_sample_clips_are_written_as_a_video(tmp_path):
    import imageio_ffmpeg

    shades = torch.linspace(0.2, 0.8, 5).view(5, 1, 1, 1).expand(5, 32, 24, 3)
    report.video(tmp_path / "clips.mp4", [shades, 1 - shades], 4.0)
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "clips.mp4"))
    about = next(reader)
    frames = [torch.frombuffer(bytearray(frame), dtype=torch.uint8).view(32, 48, 3) / 255 for frame in reader]
    assert (about["size"], about["fps"], len(frames)) == ((48, 32), 4.0, 5)
    for frame, shade in zip(frames, shades[:, 0, 0, 0].tolist(), strict=True):
        assert frame[:, :20].mean().item() == pytest.approx(shade, abs=0.02)
        assert frame[:, 28:].mean().item() == pytest.approx(1 - shade, abs=0.02)


def test_a_large_gradient_makes_no_larger_step_than_the_limit(cache, image_model):
    """The gradients that the optimiser sees have the norm of the limit."""
    trainer = world.make_trainer(cache, image_model, gradient_clip=1e-4, learning_rate=0.0)
    norms, step = [], trainer.optimizer.step

    def spy():
        grads = [p.grad for group in trainer.optimizer.param_groups for p in group["params"]]
        norms.append(float(torch.stack([g.norm() for g in grads if g is not None]).norm()))
        step()

    trainer.optimizer.step = spy
    trainer.train_step()
    assert norms == pytest.approx([1e-4], rel=1e-2)


def test_matrices_decay_and_the_rest_does_not(cache, image_model):
    """Without gradients AdamW only decays: weights shrink by rate times decay, biases stay."""
    trainer = world.make_trainer(cache, image_model, weight_decay=0.5, warmup=0)
    before = {n: p.detach().clone() for n, p in trainer.stack.named_parameters()}
    trainer.backward = lambda: (
        [p.__setattr__("grad", torch.zeros_like(p)) for p in trainer.stack.parameters()] and 0.0
    )
    trainer.train_step()
    factor = 1 - trainer.rate() * 0.5
    for name, p in trainer.stack.named_parameters():
        torch.testing.assert_close(p.detach(), before[name] * (factor if p.ndim > 1 else 1.0))
