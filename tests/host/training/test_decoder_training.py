"""Training a temporal decoder from the command line, on the toy VAE: a few steps, resumed, loaded again.

And its errors.
"""

from __future__ import annotations

import sys

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from video_ldm.demo import environment
from video_ldm.temporal.decoder import TAESD, load_decoder
from video_ldm.temporal.errors import CheckpointFormatError, InvalidInputError
from video_ldm.training import __main__ as training_command
from video_ldm.training.decoder import options as command

from .test_motion_lora_node import StopAfter

CHECKPOINT = environment.REPO / "demo" / "models" / "toy_sd.safetensors"


@pytest.fixture
def clips(tmp_path):
    """Two videos of a square that moves to the right."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, frames in (("a", 5), ("b", 4)):
        writer = imageio_ffmpeg.write_frames(
            str(folder / f"{name}.mp4"), (64, 48), fps=8, macro_block_size=1, quality=8
        )
        writer.send(None)
        for index in range(frames):
            picture = np.full((48, 64, 3), 60, np.uint8)
            picture[16:32, 8 + 8 * index : 24 + 8 * index] = 220
            writer.send(picture.tobytes())
        writer.close()
    return folder


def run(clips, out, *options):
    """The command after the host has been started, in this process."""
    from video_ldm.training.decoder import running as train_decoder

    words = ["--vae", str(CHECKPOINT), "--clips", str(clips), "--out", str(out), "--size", "64x48"]
    words += ["--frames", "3", "--crop", "32", "--warmup", "1", "--cpu", *options]
    args = command.parser().parse_args(words)
    train_decoder.run(args, command.config_from(args))


def opened(folder, name, monkeypatch):
    """The toy VAE, and with the decoder of a file."""
    import folder_paths
    from video_ldm.nodes.host.files import TEMPORAL_DECODERS, register_folders
    from video_ldm.nodes.host.film.vae import open_temporal_decoder
    from video_ldm.nodes.host.training.vae import load_vae

    register_folders()
    _, extensions = folder_paths.folder_names_and_paths[TEMPORAL_DECODERS]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, TEMPORAL_DECODERS, ([str(folder)], extensions))
    with torch.inference_mode():
        vae = load_vae(str(CHECKPOINT))
        return vae, open_temporal_decoder(vae, name)


def test_trains_resumes_and_loads(host, clips, tmp_path, monkeypatch):
    out = tmp_path / "decoder.safetensors"
    run(clips, out, "--steps", "2", "--save-every", "1", "--adversarial", "0.5", "--adversary-channels", "4")
    made = (clips / "video_ldm_frames" / "frames.raw").stat().st_mtime_ns
    assert made and load_decoder(out).config.decoder == TAESD
    more = ("--steps", "3", "--resume", "--adversarial", "0.5", "--adversary-channels", "4")
    run(clips, out, *more)
    assert (clips / "video_ldm_frames" / "frames.raw").stat().st_mtime_ns == made
    state = torch.load(tmp_path / "decoder.state.pt", weights_only=True)
    assert state["step"] == len(state["losses"]) == 3
    assert (tmp_path / "decoder.loss.png").is_file()
    vae, temporal = opened(tmp_path, "decoder.safetensors", monkeypatch)
    latent = torch.randn(3, 4, 4, 5)
    with torch.inference_mode():
        assert not torch.equal(temporal.decode(latent), vae.decode(latent))
        still = latent[:1].expand(3, -1, -1, -1)
        torch.testing.assert_close(temporal.decode(still), vae.decode(still), rtol=0, atol=1e-4)


def test_the_whole_decoder_travels_in_the_file(host, clips, tmp_path, monkeypatch):
    out = tmp_path / "whole.safetensors"
    run(clips, out, "--steps", "2", "--image-lr", "1e-3", "--ema", "0")
    vae, temporal = opened(tmp_path, "whole.safetensors", monkeypatch)
    before, after = vae.first_stage_model.state_dict(), temporal.first_stage_model.autoencoder.state_dict()
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"taesd_decoder"}
    still = torch.randn(1, 4, 4, 5)
    with torch.inference_mode():
        assert (temporal.decode(still) - vae.decode(still)).abs().max() > 1e-4


def test_mistakes_are_told_in_one_sentence(host, clips, tmp_path):
    out = tmp_path / "x.safetensors"
    with pytest.raises(InvalidInputError, match=r"64 x 48, too small for a crop of 64"):
        run(clips, out, "--crop", "64")
    with pytest.raises(CheckpointFormatError, match="There is no VAE or checkpoint missing"):
        run(clips, out, "--vae", "missing")
    with pytest.raises(InvalidInputError, match=r"longest clip has 5 frames, but 6 are asked for"):
        run(clips, out, "--frames", "6")
    with pytest.raises(InvalidInputError, match="There is no folder"):
        run(tmp_path / "nowhere", out)
    with pytest.raises(CheckpointFormatError, match="There is no training state"):
        run(clips, out, "--resume")
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["decoder"], "against flicker"),
        (["video"], "makes clips from their first frame"),
        (["layers"], "image model stays"),
        ([], "image model stays"),
    ],
    ids=str,
)
def test_the_word_chooses_the_command(monkeypatch, capsys, words, shown):
    monkeypatch.setattr(sys, "argv", ["training", *words, "--help"])
    monkeypatch.setattr(training_command.logging, "basicConfig", lambda **options: None)
    with pytest.raises(SystemExit, match="0"):
        training_command.main()
    assert shown in " ".join(capsys.readouterr().out.split())


def settings(**changes):
    """Inputs of the node for a run of seconds."""
    values = {
        "clip_length": 4,
        "filename": "made",
        "steps": 2,
        "learning_rate": 1e-3,
        "num_frames": 3,
        "crop": 32,
    }
    values |= {
        "latent_noise": 0.05,
        "adversarial": 0.0,
        "image_learning_rate": 0.0,
        "seed": 0,
        "resume": True,
    }
    return {**values, **changes}


@pytest.fixture
def toy(host, tmp_path, monkeypatch):
    """The toy VAE; models/temporal_decoders and the output folder are empty."""
    import folder_paths

    folder = tmp_path / "models"
    folder.mkdir()
    name = "temporal_decoders"
    _, extensions = folder_paths.folder_names_and_paths[name]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, name, ([str(folder)], extensions))
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path / "output"))
    return host.call("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors")[2]


def test_the_node_trains_and_its_vae_decodes(host, toy, tmp_path):
    images = torch.rand(8, 48, 64, 3)
    vae, name = host.call("VLDM_TrainTemporalDecoder", vae=toy, images=images, **settings())
    assert name == "made.safetensors"
    assert load_decoder(tmp_path / "models" / name).config.decoder == TAESD
    samples = {"samples": torch.randn(3, 4, 4, 5)}
    frames, plain = (
        host.call("VLDM_TemporalVAEDecode", samples=samples, vae=which, chunk_length=16, overlap=4)[0]
        for which in (vae, toy)
    )
    assert frames.shape == plain.shape and not torch.equal(frames, plain)
    assert not list((tmp_path / "output").rglob("*.pt"))


def test_a_stopped_node_goes_on(host, toy, tmp_path, monkeypatch):
    import comfy.model_management as mm

    images = torch.rand(4, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    inputs = {"vae": toy, "images": images}
    host.call("VLDM_TrainTemporalDecoder", **inputs, **settings(filename="straight", steps=3))
    with monkeypatch.context() as patch:
        patch.setattr(host.pack("nodes.host.training.run"), "mm", StopAfter(mm, 1))
        _, name = host.call("VLDM_TrainTemporalDecoder", **inputs, **settings(steps=3))
    assert name == "made.safetensors" and list((tmp_path / "output").rglob("made.state.pt"))
    _, name = host.call("VLDM_TrainTemporalDecoder", **inputs, **settings(steps=3))
    assert name == "made_00002_.safetensors" and not list((tmp_path / "output").rglob("*.pt"))
    straight, resumed = (load_decoder(tmp_path / "models" / file) for file in ("straight.safetensors", name))
    assert all(torch.equal(resumed.get_parameter(name), p) for name, p in straight.named_parameters())


def test_the_nodes_mistakes_are_told(host, toy):
    images = torch.rand(6, 32, 32, 3)
    for changes, message in (
        ({"clip_length": 4}, "6 images are no whole number of clips of 4 frames"),
        ({"clip_length": 2}, "longest clip has 2 frames, but 3 are asked for"),
        ({"clip_length": 0, "crop": 64}, "32 x 32, too small for a crop of 64"),
        ({"clip_length": 0, "filename": "../up"}, "file name is '../up'; give a plain name"),
    ):
        with pytest.raises(ValueError, match=message):
            host.call("VLDM_TrainTemporalDecoder", vae=toy, images=images, **settings(**changes))
