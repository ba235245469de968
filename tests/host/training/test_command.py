"""The training command on the toy checkpoint: two tiny videos, a few steps, resumed; and its errors."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
import torch
from safetensors import safe_open
from video_ldm.demo import environment
from video_ldm.temporal.errors import CheckpointFormatError, InvalidInputError
from video_ldm.temporal.formats import load_stack, save_stack
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.training.data import cache
from video_ldm.temporal.training.sense import SenseCheck
from video_ldm.training.layers import options as layers

CHECKPOINT = environment.REPO / "demo" / "models" / "toy_sd.safetensors"
HOST_PACK = environment.REPO / "demo" / "host_pack"
CHECK = SenseCheck(2, 1, (0.9,) * 5, (0.1,) * 5)


def write_video(path: Path, frames: int, fps: float = 8.0) -> None:
    """A grey square that gets brighter, losslessly enough to be told apart."""
    writer = imageio_ffmpeg.write_frames(str(path), (96, 64), fps=fps, macro_block_size=1, quality=8)
    writer.send(None)
    for index in range(frames):
        writer.send(np.full((64, 96, 3), 40 + 15 * index, np.uint8).tobytes())
    writer.close()


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, frames in (("a", 6), ("b", 7)):
        write_video(folder / f"{name}.mp4", frames)
        (folder / f"{name}.txt").write_text(f"a square {name}")
    return folder


def run(clips: Path, out: Path, *options: str) -> None:
    """The command after the host has been started, in this process."""
    from video_ldm.training.layers import running as train

    words = ["--checkpoint", str(CHECKPOINT), "--clips", str(clips), "--out", str(out), "--size", "64x64"]
    words += ["--frames", "4", "--batch", "2", "--warmup", "1", "--validate-every", "0", "--cpu"]
    args = layers.parser().parse_args([*words, *options])
    train.run(args, layers.config_from(args))


def encoded(clips: Path) -> dict[str, int]:
    """Latents of clips: the name of each file and when it was made."""
    files = (clips / "video_ldm_cache" / "clips").rglob("*.npy")
    return {path.name: path.stat().st_mtime_ns for path in files}


def test_a_clip_more_or_a_new_caption_encodes_nothing_again(host, clips, tmp_path):
    options = ("--steps", "1", "--frames", "4")
    run(clips, tmp_path / "one.safetensors", *options)
    made = encoded(clips)
    assert len(made) == 2
    (clips / "more").mkdir()
    write_video(clips / "more" / "c.mp4", 5)
    write_video(clips / "more" / "short.mp4", 3)
    lines = (
        '{"file_name": "c.mp4", "text": ["a square c", "another"]}',
        '{"file_name": "short.mp4", "text": ""}',
    )
    (clips / "more" / "metadata.jsonl").write_text("\n".join(lines))
    (clips / "a.txt").write_text("something else")
    run(clips, tmp_path / "two.safetensors", *options)
    later = encoded(clips)
    assert len(later) == 4 and made.items() <= later.items()
    index = cache.read_index(clips / "video_ldm_cache")
    assert index["captions"] == ["", "something else", "a square b", "a square c", "another"]
    assert index["sources"] == ["a.mp4", "b.mp4", "more/c.mp4"]
    assert index["choices"][2] == [[3, 1.0], [4, 1.0]]
    table = (clips / "video_ldm_cache" / "clips.csv").read_text("utf-8")
    assert 'more/short.mp4,0,3,no,"has 3 frames at 8 frames per second' in table


def test_clips_are_played_backwards_checked_and_the_run_ends_when_the_words_are_known(
    host, clips, tmp_path, caplog, monkeypatch
):
    """With a threshold that any layers reach, so that the first check ends the run."""
    from video_ldm.training.layers import running as train

    for name, way in (("a", "up"), ("b", "down")):
        (clips / f"{name}.txt").write_text(f"a square moving {way}")
    monkeypatch.setattr(train, "check_sense", lambda trainer: CHECK)
    options = ["--reversed", "moving up=moving down, zooming in=zooming out", "--check-clips", "1"]
    with caplog.at_level("INFO"):
        run(
            clips,
            tmp_path / "l.safetensors",
            "--steps",
            "6",
            "--check-every",
            "2",
            "--stop-when-known",
            "0.8",
            *options,
        )
    assert "step 2, right word over opposite word" in caplog.text
    captions = cache.read_index(clips / "video_ldm_cache")["captions"]
    assert sorted(captions) == ["", "a square moving down", "a square moving up"]
    with safe_open(tmp_path / "l.safetensors", "pt") as file:
        assert file.metadata()["step"] == "2"
    assert load_stack(tmp_path / "l.safetensors").config.positions == "tokens"


def test_nothing_is_saved_or_checked_on_the_way_where_that_is_turned_off(host, clips, tmp_path, caplog):
    out = tmp_path / "layers.safetensors"
    for name in "ab":
        (clips / f"{name}.txt").write_text("a square moving up")
    never = ["--save-every", "0", "--check-every", "0", "--check-clips", "1"]
    with caplog.at_level("INFO"):
        run(clips, out, "--steps", "2", "--reversed", "moving up=moving down", *never)
    assert load_stack(out).config.positions == "tokens"
    assert "right word over opposite word" not in caplog.text


def test_trains_caches_and_resumes(host, clips, tmp_path):
    out = tmp_path / "layers.safetensors"
    run(clips, out, "--steps", "2", "--save-every", "1", "--patterns", "none=0.5,first=0.5")
    stack = load_stack(out)
    assert stack.config.known_frames
    assert stack.config.frame_rate
    assert stack.config.max_frames == 4
    assert any(p.abs().sum() > 0 for n, p in stack.named_parameters() if n.endswith("conv_out.weight"))
    index = cache.read_index(clips / "video_ldm_cache")
    assert index["captions"] == ["", "a square a", "a square b"]
    assert index["offsets"] == [0, 6, 13]
    made = encoded(clips)
    run(clips, out, "--steps", "3", "--resume", "--patterns", "none=0.5,first=0.5")
    assert encoded(clips) == made
    state = torch.load(tmp_path / "layers.state.pt", weights_only=True)
    assert state["step"] == len(state["losses"]) == 3
    assert (tmp_path / "layers.loss.png").is_file()


@pytest.fixture(scope="module")
def animatediff(host, tmp_path_factory):
    """A file of AnimateDiff v2's kind for the toy checkpoint."""
    from video_ldm.nodes.host.layers.shapes import base_name
    from video_ldm.nodes.host.training import models as training

    shape = training.load_checkpoint(str(CHECKPOINT)).shape
    config = StackConfig(
        shape, base_name(shape), 16, False, False, "AnimateDiff v2", motion=MotionConfig(True, False, False)
    )
    path = tmp_path_factory.mktemp("init") / "mm.safetensors"
    save_stack(path, TemporalStack(config))
    return path


def test_layers_of_a_file_train_on_their_own_betas(host, animatediff):
    from video_ldm.nodes.host.training import models as training
    from video_ldm.training.kinds import on_own_betas

    models = training.load_checkpoint(str(CHECKPOINT))
    own = on_own_betas(models, load_stack(animatediff), str(animatediff))
    plain, animated = (m.noise_levels().alphas_cumprod[500] for m in (models, own))
    assert plain == pytest.approx(0.276, abs=2e-3) and animated == pytest.approx(0.161, abs=2e-3)
    assert own.noise_levels().num_steps == 1000
    assert models.noise_levels().alphas_cumprod[500] == plain


def test_layers_of_a_file_are_trained_as_they_are(host, clips, tmp_path, animatediff, caplog):
    out, init = tmp_path / "more.safetensors", ("--init", str(animatediff))
    with pytest.raises(
        InvalidInputError, match=r"--patterns is first=1, but the layers in .* see no known frames"
    ):
        run(clips, out, *init, "--patterns", "first=1")
    with pytest.raises(
        InvalidInputError, match=r"--known-noise is 9, but the layers in .* see no known frames"
    ):
        run(clips, out, *init, "--known-noise", "9")
    assert not (clips / "video_ldm_cache").exists()  # before anything is prepared
    with caplog.at_level("INFO", "video_ldm"):
        run(clips, out, *init, "--steps", "1")
    assert "mm.safetensors was trained with sqrt_linear betas, 0.00085 to 0.012" in caplog.text
    assert load_stack(out).config.family == "AnimateDiff v2"


def test_trains_on_a_prepared_cache_and_samples(host, clips, tmp_path):
    out = tmp_path / "layers.safetensors"
    run(clips, out, "--steps", "1", "--precision", "bf16")
    sheet = tmp_path / "again.step-000001.png"
    options = ("--steps", "1", "--validate-every", "1", "--prompt", "a square")
    run(clips / "video_ldm_cache", tmp_path / "again.safetensors", *options)
    from PIL import Image

    assert Image.open(sheet).size == (4 * 64, 64)
    assert sheet.with_suffix(".mp4").stat().st_size > 500


def test_mistakes_are_told_in_one_sentence(host, clips, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    out = tmp_path / "layers.safetensors"
    with pytest.raises(InvalidInputError, match="holds no videos"):
        run(empty, out)
    with pytest.raises(InvalidInputError, match="There is no folder"):
        run(tmp_path / "nowhere", out)
    with pytest.raises(InvalidInputError, match=r"b\.mp4 has 7 frames|a\.mp4 has 6 frames"):
        run(clips, out, "--frames", "8")
    with pytest.raises(InvalidInputError, match="multiples of 8"):
        run(clips, out, "--size", "60x60")
    (clips / "c.mp4").write_bytes(b"no video")
    (clips / "c.txt").write_text("nothing")
    run(clips, tmp_path / "two_of_three.safetensors", "--steps", "1")
    table = (clips / "video_ldm_cache" / "clips.csv").read_text("utf-8")
    assert re.search(r"c\.mp4,0,0,no,.*cannot be decoded", table) and "a.mp4,0,6,yes," in table
    (clips / "c.mp4").unlink()
    (clips / "a.txt").unlink()
    with pytest.raises(InvalidInputError, match=r"1 of 2 videos have no caption \(a\.mp4\)"):
        run(clips, out)
    (clips / "metadata.jsonl").write_text("nonsense")
    with pytest.raises(InvalidInputError, match=r"metadata\.jsonl must hold one"):
        run(clips, out)
    (clips / "metadata.jsonl").write_text('{"file_name": "a.mp4", "text": "from the table"}\n')
    run(clips, tmp_path / "other.safetensors", "--steps", "1")
    assert "from the table" in cache.read_index(clips / "video_ldm_cache")["captions"]
    with pytest.raises(CheckpointFormatError, match="There is no checkpoint missing"):
        run(clips, out, "--checkpoint", "missing.safetensors")


def test_the_command_line_itself(clips, tmp_path):
    command = [sys.executable, "-m", "video_ldm.training"]
    files = ["--checkpoint", str(CHECKPOINT), "--clips", str(clips), "--out", str(tmp_path / "x.safetensors")]
    host_options = ["--comfyui", str(environment.host_path()), "--custom-node", str(HOST_PACK)]
    wrong = subprocess.run(
        [*command, *files, "--patterns", "frist"], capture_output=True, text=True, cwd=tmp_path
    )
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: Unknown known-frame pattern 'frist'")
    small = [
        "--size",
        "64x64",
        "--frames",
        "4",
        "--steps",
        "1",
        "--batch",
        "1",
        "--validate-every",
        "0",
        "--cpu",
    ]
    run_all = [*command, *files, *host_options, *small]
    done = subprocess.run(run_all, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "x.safetensors").is_file()


def test_the_image_model_trains_along_and_its_changes_go_into_the_file(host, clips, tmp_path):
    out, patterns = tmp_path / "layers.safetensors", ["--patterns", "ends=1", "--train-image-model"]
    run(clips, out, "--steps", "1", *patterns)
    run(clips, out, "--steps", "2", "--resume", *patterns)
    stack = load_stack(out)
    assert stack.config.image_model == "changed"
    assert all(change.abs().max() > 0 for name, change in stack.changed_image.items() if "out.2" in name)
    assert stack.known_input.conv.weight.abs().max() > 0
    run(clips, tmp_path / "on.safetensors", "--steps", "1", "--patterns", "ends=1", "--init", str(out))
    on = load_stack(tmp_path / "on.safetensors")
    moved = [(on.changed_image[name] - change).abs().max() for name, change in stack.changed_image.items()]
    assert 0 < max(moved) < 0.01


def test_old_layers_go_on_with_the_frames_numbers_on_all_tokens(host, clips, tmp_path, animatediff):
    new, old, out = (tmp_path / f"{name}.safetensors" for name in ("new", "old", "out"))
    run(clips, new, "--steps", "1")
    trained = load_stack(new)
    stack = TemporalStack(replace(trained.config, positions=None))
    stack.load_state_dict(trained.state_dict())
    save_stack(old, stack)
    run(clips, out, "--steps", "1", "--lr", "1e-6", "--init", str(old), "--positions-on-tokens")
    moved = load_stack(out)
    assert load_stack(old).config.positions is None and moved.config.positions == "tokens"
    assert all(
        torch.allclose(value, moved.state_dict()[name], atol=1e-4)
        for name, value in trained.state_dict().items()
    )
    with pytest.raises(
        InvalidInputError, match="those of AnimateDiff v2, which only work as they were published"
    ):
        run(clips, tmp_path / "no", "--init", str(animatediff), "--positions-on-tokens")
    with pytest.raises(InvalidInputError, match="without --init"):
        run(clips, tmp_path / "no", "--positions-on-tokens")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--patterns", "none=1"], "--patterns gives none"),
        (["--patterns", "ends=1", "--compile"], "leave --compile out"),
    ],
)
def test_what_does_not_go_with_an_image_model_that_trains_along_is_refused(
    host, clips, tmp_path, options, message
):
    with pytest.raises(InvalidInputError, match=message):
        run(clips, tmp_path / "l.safetensors", "--steps", "1", "--train-image-model", *options)


def test_layers_that_go_with_an_image_model_as_it_was_do_not_begin_to_change_it(
    host, clips, tmp_path, animatediff
):
    options = ["--init", str(animatediff), "--train-image-model"]
    with pytest.raises(InvalidInputError, match="go with an image model as it was"):
        run(clips, tmp_path / "l.safetensors", "--steps", "1", *options)
