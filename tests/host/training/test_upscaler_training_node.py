"""Train Video Upscaler on drawn stripes.

Its result enlarges, an interrupted run goes on, mistakes are told.
"""

from __future__ import annotations

import json

import pytest
import torch
from safetensors import safe_open
from video_ldm.temporal.upscaler import load_upscaler

SETTINGS = {
    "clip_length": 4, "filename": "made", "steps": 4, "spatial_steps": 2, "learning_rate": 1e-3,
    "num_frames": 3, "patch_size": 8, "batch_size": 1, "channels": 8, "max_noise": 0.5, "seed": 0,
    "resume": True,
}  # fmt: skip


def settings(**changes):
    return {**SETTINGS, **changes}


def stripes(clips=2, frames=4, side=48):
    """Clips of stripes that move, (clips * frames side side 3)."""
    x = torch.arange(float(side))
    rows = [
        (torch.sin(0.7 * (x + 2 * frame) + clip) > 0).float()
        for clip in range(clips)
        for frame in range(frames)
    ]
    return torch.stack(rows)[:, None, :, None].expand(-1, side, side, 3) * 0.5 + 0.25


@pytest.fixture
def folder(host, tmp_path, monkeypatch):
    """An empty models/video_upscalers and output folder."""
    import folder_paths

    models = tmp_path / "models"
    models.mkdir()
    _, extensions = folder_paths.folder_names_and_paths["video_upscalers"]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "video_upscalers", ([str(models)], extensions))
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path / "output"))
    return models


def train(host, **changes):
    return host.call("VLDM_TrainVideoUpscaler", images=stripes(), **settings(**changes))


def test_what_it_trains_enlarges_and_is_found_again(host, folder):
    upscaler, name = train(host)
    assert name == "made.safetensors"
    assert load_upscaler(folder / name).config.max_frames == 3
    given = torch.rand(3, 12, 16, 3)
    made = host.call("VLDM_VideoUpscale", images=given, upscaler=upscaler)[0]
    assert made.shape == (3, 48, 64, 3) and made.isfinite().all()
    assert not list(folder.parent.rglob("*.pt"))


def test_a_file_of_the_same_name_is_never_overwritten(host, folder):
    from video_ldm.nodes.train_upscaler import TrainVideoUpscaler

    (folder / "made.safetensors").write_bytes(b"published")
    (folder / "made_00002_.safetensors").write_bytes(b"mine")
    with torch.inference_mode():
        made = TrainVideoUpscaler.execute(images=stripes(), **settings(steps=2, spatial_steps=1))
    assert made.result[1] == "made_00003_.safetensors"
    assert load_upscaler(folder / "made_00003_.safetensors").config.max_frames == 3
    assert made.ui["text"][0] == (
        "Wrote models/models/made_00003_.safetensors; made.safetensors was already there and stays as it is"
    )
    assert (folder / "made.safetensors").read_bytes() == b"published"
    assert (folder / "made_00002_.safetensors").read_bytes() == b"mine"
    assert len(list(folder.iterdir())) == 3


def test_temporal_layers_alone_leave_the_upscaler_of_single_frames(host, folder):
    first, _ = train(host, steps=2, spatial_steps=2)
    before = {name: value.clone() for name, value in first.patcher.model.state_dict().items()}
    train(host, filename="second", steps=2, spatial_steps=0, upscaler=first)
    after = load_upscaler(folder / "second.safetensors").state_dict()
    changed = {".temporal." in name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {True}
    assert all(torch.equal(value, first.patcher.model.state_dict()[name]) for name, value in before.items())


def test_a_new_one_learns_first_what_given_frames_tell_and_one_that_exists_does_not(host, folder):
    first, _ = train(host, steps=6, spatial_steps=5)
    train(host, filename="second", steps=6, spatial_steps=5, upscaler=first)
    given = []
    for name in ("made", "second"):
        with safe_open(folder / f"{name}.safetensors", "pt") as file:
            given.append(json.loads(file.metadata()["training"])["given_steps"])
    assert given == [1, 0]


def test_an_interrupted_run_goes_on_bit_for_bit(host, folder):
    import comfy.model_management as mm

    train(host, filename="straight")
    mm.interrupt_current_processing()
    stopped, name = train(host)
    assert (
        name == "made.safetensors"
        and stopped.config.max_frames == load_upscaler(folder / name).config.max_frames
    )
    assert list(folder.parent.rglob("made.upscaler.state.pt"))
    _, name = train(host)
    assert name == "made_00002_.safetensors" and not list(folder.parent.rglob("*.pt"))
    straight, resumed = (load_upscaler(folder / file) for file in ("straight.safetensors", name))
    assert all(
        torch.equal(resumed.state_dict()[name], value) for name, value in straight.state_dict().items()
    )


def test_a_state_of_other_settings_is_left_alone(host, folder):
    import comfy.model_management as mm

    mm.interrupt_current_processing()
    train(host)
    _, name = train(host, channels=16)
    assert load_upscaler(folder / name).config.channels == 16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"clip_length": 3}, "8 images are no whole number of clips of 3 frames"),
        ({"num_frames": 5}, "longest clip has 4 frames, but 5 are asked for"),
        ({"patch_size": 16}, "48 x 48, too small for a crop of 64"),
        ({"patch_size": 10}, "10 given pixels a side, but this upscaler takes multiples of 4"),
        ({"spatial_steps": 5}, "spatial_steps is 5 of 4 steps"),
        ({"channels": 12}, "cannot have 12 channels, which are shared by 8 heads"),
        ({"filename": "../up"}, "file name is '../up'; give a plain name"),
        ({"filename": "a\0b"}, r"file name is 'a\\x00b'; give a plain name"),
        ({"filename": "a:b"}, "file name is 'a:b'; give a plain name"),
        ({"filename": "nul.safetensors"}, "file name is 'nul.safetensors'; give a plain name"),
        ({"filename": "made."}, "file name is 'made.'; give a plain name"),
        ({"filename": "x" * 250}, "file name has 250 bytes; give one of at most 150"),
        ({"filename": "\u6620" * 51}, "file name has 153 bytes"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(host, folder, changes, message):
    with pytest.raises(ValueError, match=message):
        train(host, **changes)
    assert not list(folder.parent.rglob("*.safetensors")) and not list(folder.parent.rglob("*.pt"))
