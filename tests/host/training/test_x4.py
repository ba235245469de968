"""Training of temporal layers for the SD x4 upscaler, on a small one.

The command, what learns, what it is told, its errors.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.formats import load_stack
from video_ldm.temporal.sampling.clip import Clip
from video_ldm.temporal.stack.stack import TemporalStack
from video_ldm.temporal.training.config import TrainingConfig
from video_ldm.temporal.training.data import cache, preparing
from video_ldm.temporal.training.data.conditions import Conditions
from video_ldm.temporal.training.loop import LayersTrainer, Surroundings
from video_ldm.tests.host.sampling import tiny_x4
from video_ldm.tests.host.sampling.test_upscale_x4 import upscale
from video_ldm.tests.host.training.test_command import write_video
from video_ldm.training.layers import options as layers

FRAMES, SIDE = 4, 8
WORDS = (
    "--checkpoint tiny_x4 --size 64x64 --frames 4 --batch 2 --warmup 1 --side 8 --save-every 1 "
    "--validate-every 0 --cpu"
)


@pytest.fixture
def models(host, monkeypatch):
    """The small upscaler, which the command takes for any checkpoint."""
    from video_ldm.nodes.host.training import models as training

    models = training.Checkpoint(tiny_x4.model(), tiny_x4.Text(), tiny_x4.vae())
    monkeypatch.setattr(training, "load_checkpoint", lambda name: models)
    return models


@pytest.fixture
def clips(tmp_path):
    """Two videos, one with a caption."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, frames in (("a", 6), ("b", 7)):
        write_video(folder / f"{name}.mp4", frames)
    (folder / "a.txt").write_text("a square")
    return folder


def run(clips, out, *options):
    """The command after the host has been started, in this process."""
    from video_ldm.training.layers import running as train

    args = layers.parser().parse_args([*WORDS.split(), "--clips", str(clips), "--out", str(out), *options])
    train.run(args, layers.config_from(args))


def trainer_of(models, folder, **changes) -> LayersTrainer:
    """Trainer that the command builds, on clips of random colours."""
    from video_ldm.training.kinds import TrainedUpscaler

    config = TrainingConfig(num_frames=FRAMES, batch=4, learning_rate=1e-2, warmup=1, ema=0.5, **changes)
    kind = TrainedUpscaler(models, config, SIDE)
    frames = torch.rand(2, FRAMES, 48, 64, 3, generator=torch.Generator().manual_seed(0))
    preparing.write_cache(folder, [(kind.encode(clip), "", 8.0) for clip in frames])
    preparing.write_captions(folder, "tiny", models.embed)
    torch.manual_seed(1)
    stack = TemporalStack(kind.new_layers())
    unet = models.frozen_unet()
    clips = cache.open_cache(folder, "tiny")
    return LayersTrainer(stack, Surroundings(models.denoiser(unet), kind.batches(clips)))


def test_small_frames_are_a_quarter_of_the_large_ones(models):
    """A frame of one colour stays that colour, in -1..1 and on the grid of the latents."""
    kept = models.encode_both(torch.full((2, 16, 24, 3), 0.75))
    assert kept.shape == (2, 4 + 3, 4, 6)
    torch.testing.assert_close(kept[:, 4:], torch.full((2, 3, 4, 6), 0.5))
    finest = (torch.arange(24) % 2).float().expand(2, 16, 24)[..., None].expand(-1, -1, -1, 3)
    assert models.encode_both(finest)[:, 4:].abs().max() < 0.1  # no alias


def test_the_model_is_told_what_the_hosts_sampler_tells_it(models):
    """With fresh layers a prediction of ours is that of the host's own guider.

    Prompt, frames and level are the same.
    """
    import comfy.samplers

    seen = {}

    def look(model, args):
        seen.update(args, x0=model(args["input"], args["timestep"], **args["c"]))
        return seen["x0"]

    text, images = models.embed(["a cat"])[0], torch.rand(3, 6, 8, 3)
    given = {"concat_image": images.movedim(-1, 1) * 2 - 1, "noise_augmentation": 0.2}
    guider = comfy.samplers.CFGGuider(models.model)
    guider.model_options["model_function_wrapper"] = look
    with torch.inference_mode():
        guider.set_conds([[text, given]], [])
        guider.set_cfg(1.0)
        latent, sampler = torch.zeros(3, 4, 6, 8), comfy.samplers.sampler_object("euler")
        guider.sample(torch.randn(latent.shape), latent, sampler, torch.tensor([2.0, 0.0]), seed=5)
    assert bool((seen["c"]["y"] == 70).all())
    t = models.model.get_model_object("model_sampling").timestep(seen["timestep"]).long()
    noisy = seen["input"] / (2.0**2 + 1) ** 0.5
    conditions = Conditions(low_res=seen["c"]["c_concat"], level=seen["c"]["y"].expand(3))
    from video_ldm.training.kinds import TrainedUpscaler

    kind = TrainedUpscaler(models, TrainingConfig(num_frames=3), SIDE)
    stack, denoise = TemporalStack(kind.new_layers()), models.denoiser(models.frozen_unet())
    with torch.no_grad():
        made = denoise(noisy, t, text, stack, stack.prepare(Clip(3)), conditions)
        other = denoise(
            noisy, t, text, stack, stack.prepare(Clip(3)), replace(conditions, level=conditions.level + 200)
        )
    clean = kind.noise_levels.split(noisy, made, t)[0]
    torch.testing.assert_close(clean, seen["x0"], rtol=1e-2, atol=1e-2)
    assert not torch.allclose(made, other, atol=1e-3)


def test_the_noise_of_small_frames_is_the_checkpoints_own(models):
    augmentor, small, level = (
        models.model.model.noise_augmentor,
        torch.rand(4, 3, 8, 8),
        torch.tensor([0, 350]),
    )
    noise = torch.randn(small.shape)
    ours = models.enlarging(SIDE)
    torch.testing.assert_close(
        ours.conditions(small, noise, level).low_res,
        augmentor.q_sample(small, level.repeat_interleave(2), noise),
    )
    assert ours.max_level == augmentor.max_noise_level == 350


def test_the_loss_goes_down_and_only_temporal_layers_learn(models, tmp_path):
    trainer = trainer_of(models, tmp_path, steps=12)
    unet = models.model.model.diffusion_model
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    held_out = trainer.batches.draw(10**6)
    with torch.no_grad():
        at_first = trainer.loss(held_out)
    loss = trainer.loss(trainer.batches.draw(0))
    loss.backward()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in unet.parameters())
    last = [p for name, p in trainer.stack.named_parameters() if name.endswith("conv_out.weight")]
    assert last and all(parameter.grad.abs().sum() > 0 for parameter in last)
    trainer.optimizer.zero_grad(set_to_none=True)
    trainer.run()
    with torch.no_grad():
        assert trainer.loss(held_out) < 0.95 * at_first
    assert all(torch.equal(value, before[name]) for name, value in unet.state_dict().items())


def test_what_it_writes_loads_and_changes_what_the_node_makes(host, models, clips, tmp_path):
    from video_ldm.nodes.load import LoadTemporalLayers

    path = host.base / "models" / "temporal_layers" / "trained_x4.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    run(clips, path, "--steps", "2", "--lr", "0.01", "--ema", "0", "--validate-every", "2")
    run(clips, path, "--steps", "3", "--lr", "0.01", "--ema", "0", "--resume")
    config = load_stack(path).config
    assert (config.max_frames, config.prediction, config.known_frames, config.frame_rate) == (
        4,
        "v",
        False,
        True,
    )
    assert path.with_name("trained_x4.step-000002.png").is_file()
    assert path.with_name("trained_x4.step-000002.mp4").stat().st_size > 500
    assert torch.load(path.with_name("trained_x4.state.pt"), weights_only=True)["step"] == 3
    assert cache.read_index(clips / "video_ldm_cache")["captions"] == ["", "a square"]
    with torch.inference_mode():
        layered, off = (LoadTemporalLayers.execute(models.model, path.name, s).result[0] for s in (1.0, 0.0))
    generator = torch.Generator().manual_seed(2)
    conds = [[[torch.randn(1, 7, tiny_x4.TEXT, generator=generator), {}]] for _ in range(2)]
    images = torch.rand(FRAMES, 10, 6, 3, generator=generator)
    with_layers, without = (upscale(host, model, conds, images)[0] for model in (layered, off))
    assert with_layers.shape == without.shape == (FRAMES, 4, 10, 6)
    assert not torch.allclose(with_layers, without, atol=1e-2)
    for left in path.parent.glob("trained_x4*"):
        left.unlink()


def test_mistakes_are_told_in_one_sentence(models, clips, tmp_path):
    out = tmp_path / "layers.safetensors"
    with pytest.raises(
        InvalidInputError, match=r"patch is 17 given pixels a side, but the clips are 64 x 64, .* 16 x 16"
    ):
        run(clips, out, "--side", "17")
    assert not (clips / "video_ldm_cache").exists()  # before anything is prepared
    with pytest.raises(InvalidInputError, match=r"--patterns is first=1, but the SD x4 upscaler"):
        run(clips, out, "--patterns", "first=1")
    with pytest.raises(InvalidInputError, match="--reversed is moving left=moving right, but the SD x4"):
        run(clips, out, "--contrast", "6", "--reversed", "moving left=moving right")
    plain = tmp_path / "plain"
    preparing.write_cache(plain, [(torch.zeros(6, 4, 16, 16), "", 8.0)])
    with pytest.raises(
        InvalidInputError, match=r"prepared for a model of 4 channels, but this one takes in 7"
    ):
        run(plain, out)
    run(clips, tmp_path / "other.safetensors", "--steps", "1", "--patterns", "none")
    with pytest.raises(InvalidInputError, match=r"patch is 17 given pixels"):
        run(clips / "video_ldm_cache", out, "--side", "17")
