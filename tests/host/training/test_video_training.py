"""Training Stable Video Diffusion from the command line, at a size for tests."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from video_ldm.temporal.errors import CheckpointFormatError, IncompatibleModelError, InvalidInputError
from video_ldm.tests.host import toy_checkpoints
from video_ldm.tests.host.families import video_rig as rig
from video_ldm.training.video import options as command

from .test_decoder_training import CHECKPOINT, clips  # noqa: F401 a fixture

UNET = "model.diffusion_model."


@pytest.fixture
def checkpoint_file(host, tmp_path, monkeypatch):
    """Write a checkpoint in float16, as it is published: SVD, or with another label and place of the VAE."""
    import comfy.supported_models as supported
    from video_ldm.temporal.formats import svd
    from video_ldm.temporal.stack import plan

    monkeypatch.setattr(supported, "models", [*supported.models, *rig.tiny_kinds()])
    monkeypatch.setattr(svd, "SHAPE", rig.tiny_shape(plan))
    toy_checkpoints.tell_host_of_pictures(monkeypatch, tmp_path, rig.TEXT)
    path = tmp_path / "models" / "video.safetensors"
    names = {other: own for own, other in svd.svd_names().items()}

    def write(**layout):
        toy_checkpoints.write_svd(path, names, rig.TEXT, **layout)
        save_file({key: weight.half() for key, weight in load_file(path).items()}, path)
        return path

    return write


@pytest.fixture
def svd_file(checkpoint_file):
    """A checkpoint of Stable Video Diffusion."""
    return checkpoint_file()


def run(svd_file, clips, out, *words):  # noqa: F811
    """The command after the host has been started, in this process."""
    from video_ldm.training.video.running import run as train

    given = ["--checkpoint", str(svd_file), "--clips", str(clips), "--out", str(out), "--size", "64x64"]
    given += ["--frames", "3", "--fps", "8", "--warmup", "1", "--lr", "1e-3", "--ema", "0", "--cpu"]
    args = command.parser().parse_args([*given, "--validate-every", "0", *words])
    train(args, command.config_from(args))


def changed(one, other):
    """Names of the weights that differ in two files of the same names, kinds and shapes."""
    before, after = load_file(one), load_file(other)
    assert {n: (w.dtype, w.shape) for n, w in before.items()} == {
        n: (w.dtype, w.shape) for n, w in after.items()
    }
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_layers_in_time_train_whatever_is_computed_again(svd_file, clips, tmp_path, monkeypatch):  # noqa: F811
    from video_ldm.nodes.host.training.video_model import checkpoint

    monkeypatch.setattr(checkpoint, "SAMPLING_STEPS", 1)
    whole, kept = tmp_path / "whole.safetensors", tmp_path / "kept.safetensors"
    run(svd_file, clips, whole, "--steps", "2", "--validate-every", "2", "--memory", "small")
    assert (tmp_path / "whole.step-000002.png").is_file() and (tmp_path / "whole.step-000000.mp4").is_file()
    names = changed(svd_file, whole)
    assert names and all(name.startswith(UNET) and ".time_" in name for name in names)
    assert any(".time_mixer." in name for name in names) and any(".time_stack." in name for name in names)
    run(svd_file, clips, kept, "--steps", "2")
    assert not changed(whole, kept)

    import comfy.sd

    model, _, vae, picture = comfy.sd.load_checkpoint_guess_config(str(whole), output_clipvision=True)
    assert type(model.model).__name__ == "SVD_img2vid" and vae is not None and picture is not None


def test_the_loss_is_that_of_the_reference(svd_file, clips, monkeypatch):  # noqa: F811
    from video_ldm.nodes.host.training.data.frames import open_frames
    from video_ldm.nodes.host.training.video_model import checkpoint
    from video_ldm.temporal.training.memory.levels import FAST
    from video_ldm.temporal.training.video_model.config import VideoModelConfig

    reference = rig.svd().half().float()
    models = checkpoint.load_video_checkpoint(str(svd_file))
    config = VideoModelConfig(num_frames=3, batch=2, without=0.0, parts="all")
    with torch.inference_mode(False), torch.no_grad():
        store = open_frames(clips, 8, (64, 64))
        drawn = checkpoint.told_clips(store, config, 8)
        trainer = checkpoint.video_trainer(models, drawn, config, FAST)
        given = trainer.draw(0)
        loss = trainer.loss(given, torch.Generator().manual_seed(3))
        dice = torch.Generator().manual_seed(3)
        sigma = trainer.levels.draw(2, 3, dice).view(-1, 1, 1, 1)
        noise = torch.randn(given.latents.shape, generator=dice)
        noisy = given.latents + sigma * noise
        scaled = torch.cat([noisy / (sigma**2 + 1).sqrt(), given.given], 1)
        ids = noise_on_pictures(config)
        errors = []
        for i in range(2):
            part = slice(3 * i, 3 * i + 3)
            level = sigma[3 * i].log().item() / 4
            seen = given.picture[3 * i : 3 * i + 1]
            out = reference(scaled[None, part], level, seen, added_time_ids=ids[i : i + 1]).sample[0]
            s = sigma[3 * i]
            clean = noisy[part] / (s**2 + 1) - s / (s**2 + 1).sqrt() * out
            errors.append((1 + s**2) / s**2 * (clean - given.latents[part]).square())
    assert float(loss) == pytest.approx(float(torch.stack(errors).mean()), rel=1e-3)


def noise_on_pictures(config):
    """Labels of the clips of step 0: frames a second less one, motion, noise."""
    rows = []
    for number in range(config.batch):
        dice = np.random.default_rng((config.seed, 0, number))
        dice.choice(np.arange(5 - 3 + 1 + 4 - 3 + 1))  # the run of frames
        rows.append([7.0, 127.0, config.picture_noise * np.exp(0.5 * dice.standard_normal())])
    return torch.tensor(rows)


@pytest.mark.parametrize(("kind", "label"), [("SV3D_u", 256), ("SV3D_p", 1280)])
def test_sv3d_sees_orbits_as_the_host_shows_them(checkpoint_file, clips, tmp_path, kind, label):  # noqa: F811
    import comfy.sd
    from comfy_extras.nodes_stable3d import SV3D_Conditioning
    from video_ldm.nodes.host.training.data.frames import open_frames
    from video_ldm.nodes.host.training.video_model import checkpoint
    from video_ldm.temporal.training.video_model.orbits import whole_turn

    file = checkpoint_file(label=label, vae="conditioner.embedders.1.encoder.")
    models = checkpoint.load_video_checkpoint(str(file))
    assert models.kind == kind
    store = open_frames(clips, 8, (64, 64))
    orbits = [whole_turn(count, 20.0) for count in np.diff(store.offsets)]
    frames, told = checkpoint.told_orbits(store, orbits, 4)(np.random.default_rng(0))
    clip = models.described(frames, told, 0.0, np.random.default_rng(1))
    picture = frames[:1].permute(0, 2, 3, 1)
    (positive, _, _) = SV3D_Conditioning.execute(
        models.image_encoder, picture, models.vae, 64, 64, 4, 20.0
    ).args
    (embedding, values) = positive[0]
    unet = models.model.model
    assert torch.allclose(clip.label, unet.encode_adm(**values, noise=clip.latents).expand(4, -1), atol=1e-5)
    assert torch.equal(clip.given, values["concat_latent_image"].expand(4, -1, -1, -1))
    assert torch.allclose(clip.picture[2], embedding[0])
    (clips / "metadata.jsonl").write_text('{"file_name": "a.mp4", "elevation": 20}\n', "utf-8")
    out = tmp_path / "out.safetensors"
    if kind == "SV3D_p":
        with pytest.raises(InvalidInputError, match=r"a\.mp4 has 8 frames a second and is read at 4"):
            run(file, clips, out, "--fps", "4")
        with pytest.raises(InvalidInputError, match=r"1 of 2 orbits have no elevation \(b\.mp4\)"):
            run(file, clips, out)
        lines = [f'{{"file_name": "{name}.mp4", "elevation": 20}}' for name in "ab"]
        (clips / "metadata.jsonl").write_text("\n".join(lines), "utf-8")
    run(file, clips, out, "--steps", "1", "--parts", "all")
    names = changed(file, out)
    assert f"{UNET}label_emb.0.0.weight" in names and all(name.startswith(UNET) for name in names)
    model = comfy.sd.load_checkpoint_guess_config(str(out), output_clip=False)[0]
    assert type(model.model).__name__ == kind


def test_mistakes_are_told_in_one_sentence(svd_file, clips, tmp_path):  # noqa: F811
    out = tmp_path / "x.safetensors"
    with pytest.raises(CheckpointFormatError, match="There is no video checkpoint missing"):
        run("missing", clips, out)
    with pytest.raises(IncompatibleModelError, match="leave out the word video"):
        run(CHECKPOINT, clips, out)
    with pytest.raises(InvalidInputError, match="longest clip has 5 frames, but 6 are asked for"):
        run(svd_file, clips, out, "--frames", "6")
    bare = tmp_path / "bare.safetensors"
    weights = load_file(svd_file)
    save_file({key: w for key, w in weights.items() if key.startswith(UNET)}, bare)
    with pytest.raises(CheckpointFormatError, match="must hold an image encoder and a VAE"):
        run(bare, clips, out)
    save_file({key.removeprefix(UNET): w for key, w in weights.items() if key.startswith(UNET)}, bare)
    with pytest.raises(CheckpointFormatError, match="spelling of its first publication"):
        run(bare, clips, out)
    assert not out.exists()
