"""Teaching a motion on the toy checkpoint: looks, then the motion; Load Motion LoRA opens the file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from video_ldm.temporal.errors import CheckpointFormatError, IncompatibleModelError, InvalidInputError
from video_ldm.temporal.formats import save_stack
from video_ldm.temporal.formats.lora_writing import read_notes
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.training.layers.options import config_from
from video_ldm.training.lora import options as lora

from .test_command import CHECKPOINT, clips, write_video  # noqa: F401

TOY_LAYERS = CHECKPOINT.with_name("toy_temporal.safetensors")


def run(clips: Path, out: Path, layers: Path, *options: str) -> None:  # noqa: F811
    """The command after the host has been started, in this process."""
    from video_ldm.training.lora import running as run_lora

    words = ["--checkpoint", str(CHECKPOINT), "--layers", str(layers), "--clips", str(clips)]
    words += ["--out", str(out), "--size", "64x64", "--frames", "4", "--batch", "1", "--warmup", "1"]
    words += ["--validate-every", "0", "--cpu", "--rank", "2"]
    args = lora.parser().parse_args([*words, *options])
    run_lora.run(args, config_from(args), lora.lora_from(args))


@pytest.fixture(scope="module")
def animatediff(host, tmp_path_factory):
    """A file of AnimateDiff v2's kind for the toy checkpoint."""
    from video_ldm.nodes.host.layers.shapes import base_name
    from video_ldm.nodes.host.training import models as training

    shape = training.load_checkpoint(str(CHECKPOINT)).shape
    motion = MotionConfig(True, False, False)
    config = StackConfig(shape, base_name(shape), 16, False, False, "AnimateDiff v2", motion=motion)
    path = tmp_path_factory.mktemp("init") / "mm.safetensors"
    save_stack(path, TemporalStack(config))
    return path


@pytest.fixture
def motion_lora(host):
    """Put a file into the host's folder of motion LoRAs: the name to pick. Gone after the test."""
    placed = []

    def put(folder, path):
        target = host.base / "models" / folder / f"under_test_{path.name}"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
        placed.append(target)
        return target.name

    yield put
    for path in placed:
        path.unlink()


def patched(layers, name, motion_lora):
    """Names of the weights of the layers that a file of Load Motion LoRA changes, and its report."""
    from video_ldm.nodes.host.layers.motion_lora import add_motion_lora, motion_loras_of
    from video_ldm.nodes.host.training import models as training
    from video_ldm.nodes.load import LoadTemporalLayers

    model = training.load_checkpoint(str(CHECKPOINT)).model
    model = LoadTemporalLayers.execute(model, motion_lora("temporal_layers", layers), 1.0).result[0]
    model, report = add_motion_lora(model, motion_lora("motion_lora", name), 1.0)
    return [place.weight for place in motion_loras_of(model, 0)[0].changed], report


def test_a_motion_is_learned_beside_the_looks_and_opened(host, clips, tmp_path, animatediff, motion_lora):  # noqa: F811
    out = tmp_path / "zoom.safetensors"
    options = ("--looks-steps", "2", "--trigger", "slow zoom", "--save-every", "1")
    run(clips, out, animatediff, "--steps", "1", *options)
    with safe_open(out, "pt") as file:
        notes = read_notes(file.metadata())
        assert all("processor.to_" in key for key in file.keys())
    assert {k: notes[k] for k in ("base", "module", "rank", "steps", "trigger", "clips")} == {
        **{"base": "toy_sd.safetensors", "module": "mm.safetensors", "rank": 2, "steps": 1},
        **{"trigger": "slow zoom", "clips": 2},
    }
    index = json.loads((clips / "video_ldm_cache" / "index.json").read_text())
    assert index["captions"] == ["", "slow zoom, a square a", "slow zoom, a square b"]
    looks = load_file(out.with_suffix(".looks.safetensors"))
    assert any(value.abs().max() > 0 for key, value in looks.items() if "lora_up" in key)
    changed, report = patched(animatediff, out, motion_lora)
    assert "Trigger: put slow zoom into the prompt" in report
    modules = {name.rpartition(".attentions.")[0] for name in changed}
    assert len(changed) == 2 * 4 * len(modules)  # q, k, v and out of two attentions each
    before = torch.load(tmp_path / "zoom.looks.state.pt", weights_only=True)
    run(clips, out, animatediff, "--steps", "2", "--resume", *options)
    after = torch.load(tmp_path / "zoom.looks.state.pt", weights_only=True)
    assert after["losses"] == before["losses"]  # looks that are learned are not learned again
    assert torch.load(tmp_path / "zoom.state.pt", weights_only=True)["step"] == 2


def test_stopped_between_looks_and_motion_it_goes_on_and_begins_nothing_in_silence(
    host,
    clips,  # noqa: F811
    tmp_path,
    animatediff,
):
    """The state of the looks is all that is there; it ended in a sentence that told to leave --resume out."""
    out, straight = tmp_path / "m.safetensors", tmp_path / "straight.safetensors"
    options = ("--steps", "1", "--looks-steps", "1")
    with pytest.raises(CheckpointFormatError, match="leave out --resume to start one"):
        run(clips, out, animatediff, *options, "--resume")
    assert not (clips / "video_ldm_cache").exists()  # before anything is prepared
    run(clips, straight, animatediff, *options)
    for name in (".looks.safetensors", ".looks.state.pt", ".looks.log.jsonl"):
        shutil.copy(straight.with_suffix(name), out.with_suffix(name))
    run(clips, out, animatediff, *options, "--resume")
    made, expected = load_file(out), load_file(straight)
    assert made.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in made.items())


def test_the_looks_are_a_lora_of_the_image_model_that_the_host_opens(host, clips, tmp_path, animatediff):  # noqa: F811
    import comfy.sd
    from video_ldm.nodes.host.training import models as training

    out = tmp_path / "m.safetensors"
    run(clips, out, animatediff, "--steps", "1", "--looks-steps", "1")
    looks = load_file(out.with_suffix(".looks.safetensors"))
    models = training.load_checkpoint(str(CHECKPOINT))
    model, _ = comfy.sd.load_lora_for_models(models.model, None, looks, 1.0, 0.0)
    assert 3 * len(model.patches) == len(looks) > 0


def test_layers_of_our_own_learn_in_their_convolutions_too(host, clips, tmp_path, motion_lora):  # noqa: F811
    out = tmp_path / "own.safetensors"
    options = ("--looks-steps", "0", "--precision", "bf16", "--memory", "small")
    run(clips, out, TOY_LAYERS, "--steps", "1", *options)
    assert not out.with_suffix(".looks.safetensors").exists()
    changed, report = patched(TOY_LAYERS, out, motion_lora)
    assert any("conv_out" in name for name in changed)
    assert any("frame_attention.qkv" in name for name in changed)
    assert "Trained on toy_sd.safetensors with toy_temporal.safetensors, 1 steps" in report


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        (("--targets", "wheels"), InvalidInputError, "is called 'wheels'; name kinds of layers"),
        (("--spelling", "animatediff"), InvalidInputError, "AnimateDiff's spelling has no names"),
        (("--rank", "0"), InvalidInputError, "The rank is 0; give 1 or more"),
        (("--resume",), CheckpointFormatError, "leave out --resume to start one"),
    ],
)
def test_what_cannot_work_is_refused(host, clips, tmp_path, options, error, sentence):  # noqa: F811
    with pytest.raises(error, match=sentence):
        run(clips, tmp_path / "no.safetensors", TOY_LAYERS, "--steps", "1", "--looks-steps", "0", *options)
    assert not (tmp_path / "no.safetensors").exists()


ONE_STEP = ("--steps", "1", "--looks-steps", "0", "--memory", "fast")


def test_clips_that_cannot_teach_are_told_in_a_sentence(host, tmp_path, caplog):
    folder, out = tmp_path / "some", tmp_path / "out.safetensors"
    folder.mkdir()
    with pytest.raises(InvalidInputError, match="some holds no videos"):
        run(folder, out, TOY_LAYERS, *ONE_STEP)
    write_video(folder / "a.mp4", 1)
    with pytest.raises(InvalidInputError, match=r"1 of 1 videos have no caption \(a\.mp4\)"):
        run(folder, out, TOY_LAYERS, *ONE_STEP)
    with pytest.raises(InvalidInputError, match=r"None of 1 clips can be trained on: a\.mp4 has 1 frames"):
        run(folder, out, TOY_LAYERS, *ONE_STEP, "--trigger", "slow zoom")
    write_video(folder / "b.mp4", 5)
    whole = (folder / "b.mp4").read_bytes()
    (folder / "c.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "gone.txt").write_text("a film that was renamed")
    (folder / "metadata.jsonl").write_text('{"file_name": "away.mp4", "text": "another"}')
    with caplog.at_level("INFO", "video_ldm"):
        run(folder, out, TOY_LAYERS, *ONE_STEP, "--trigger", "slow zoom")
    assert "captions without a clip: gone.txt, away.mp4" in caplog.text
    assert "1 of 3 clips are trained on; a.mp4 has 1 frames" in caplog.text
    assert "c.mp4 is left out" in caplog.text and "cannot be decoded as a video" in caplog.text
    assert out.is_file()


@pytest.fixture
def changed_checkpoint(tmp_path):
    """The toy checkpoint after something was done to a kernel of its image model."""

    def change(of):
        weights = load_file(CHECKPOINT)
        for name, weight in weights.items():
            if "diffusion_model" in name and weight.ndim == 4:
                of(weight)
        save_file(weights, tmp_path / "changed.safetensors")
        return "--checkpoint", str(tmp_path / "changed.safetensors")

    return change


def test_numbers_that_are_none_are_told_before_anything_is_learned(host, clips, tmp_path, changed_checkpoint):  # noqa: F811
    broken = changed_checkpoint(lambda weight: weight.view(-1)[0].fill_(float("nan")))
    with pytest.raises(IncompatibleModelError, match="a file of weights holds numbers that are none"):
        run(clips, tmp_path / "a.safetensors", TOY_LAYERS, *ONE_STEP, *broken)
    with pytest.raises(IncompatibleModelError, match="at step 1; lower the learning rate"):
        run(clips, tmp_path / "b.safetensors", TOY_LAYERS, *ONE_STEP, "--lr", "1e30", "--steps", "3")


def test_it_goes_on_at_its_rank_and_with_its_image_model_only(host, clips, tmp_path, changed_checkpoint):  # noqa: F811
    out = tmp_path / "out.safetensors"
    run(clips, out, TOY_LAYERS, *ONE_STEP)
    go_on = (*ONE_STEP, "--steps", "2", "--resume")
    with pytest.raises(IncompatibleModelError, match="is not of a LoRA of rank 3"):
        run(clips, out, TOY_LAYERS, *go_on, "--rank", "3")
    other = changed_checkpoint(lambda weight: weight.mul_(1.01))
    with pytest.raises(IncompatibleModelError, match="was made with another image model"):
        run(clips, out, TOY_LAYERS, *go_on, *other)
    run(clips, out, TOY_LAYERS, *go_on)
    assert torch.load(tmp_path / "out.state.pt", weights_only=True)["step"] == 2
