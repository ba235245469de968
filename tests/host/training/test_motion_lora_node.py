"""Train Motion LoRA in a graph: the model keeps its weights, the file opens, an interrupted run goes on."""

from __future__ import annotations

import pytest
import torch

from .test_command import write_video

TOY = "toy_sd.safetensors"
SETTINGS = {
    "filename": "made", "rank": 2, "steps": 2, "learning_rate": 1e-3, "num_frames": 4, "batch_size": 1,
    "looks_steps": 1, "memory": "small", "seed": 0, "resume": True,
}  # fmt: skip


@pytest.fixture(autouse=True)
def allowed(host, tmp_path, monkeypatch):
    """Folders that the owner of this ComfyUI allows."""
    import folder_paths

    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "video_ldm_datasets", ([str(tmp_path)], {".mp4"})
    )


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in "ab":
        write_video(folder / f"{name}.mp4", 6)
    return folder


@pytest.fixture
def folder(host, tmp_path, monkeypatch):
    """An empty models/motion_lora and output folder."""
    import folder_paths

    host.pack("nodes.host.files").register_folders()
    models = tmp_path / "motion_lora"
    models.mkdir()
    _, extensions = folder_paths.folder_names_and_paths["motion_lora"]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "motion_lora", ([str(models)], extensions))
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path / "output"))
    return models


@pytest.fixture(scope="module")
def given(host):
    """MODEL with the toy layers, text encoder and VAE."""
    model, clip, vae = host.call("CheckpointLoaderSimple", ckpt_name=TOY)[:3]
    layers = {"file": "toy_temporal.safetensors", "strength": 1.0}
    return {"model": host.call("VLDM_LoadTemporalLayers", model=model, **layers)[0], "clip": clip, "vae": vae}


def dataset(host, clips, **changes):
    settings = {
        "folder": str(clips),
        "width": 64,
        "height": 64,
        "fps": 8.0,
        "trigger": "slow zoom",
        "camera": "none",
    }
    return host.call("VLDM_VideoDataset", **{**settings, **changes})


def weights(model):
    layers = model.get_additional_models_with_key("video_ldm")[-1].model
    both = {**model.model.diffusion_model.state_dict(), **layers.state_dict()}
    return {name: weight.clone() for name, weight in both.items()}


def test_a_motion_is_learned_and_the_model_stays_as_it_is(host, clips, folder, given):
    footage, report = dataset(host, clips)
    assert report == "2 clips in clips, 0 with captions; trigger: slow zoom"
    before = weights(given["model"])
    model, name = host.call("VLDM_TrainMotionLoRA", **given, dataset=footage, **SETTINGS)
    assert name == "made.safetensors" and (folder / name).is_file()
    after = weights(given["model"])
    assert all(
        torch.equal(weight, after[key]) and weight.dtype == after[key].dtype for key, weight in before.items()
    )
    (patcher,) = model.get_additional_models_with_key("video_ldm.motion_lora")
    assert any("frame_attention.qkv" in place.weight for place in patcher.model.changed)
    assert not given["model"].get_additional_models_with_key("video_ldm.motion_lora")
    assert not list(folder.parent.rglob("*.pt"))
    assert sorted(path.name for path in clips.iterdir()) == ["a.mp4", "b.mp4"]
    with pytest.raises(ValueError, match="already carry a motion LoRA"):
        host.call("VLDM_TrainMotionLoRA", **{**given, "model": model}, dataset=footage, **SETTINGS)


class StopAfter:
    """The host's model management, in which an artist stops a training after so many steps."""

    def __init__(self, mm, steps):
        self.mm, self.left = mm, steps

    def throw_exception_if_processing_interrupted(self):
        self.left -= 1
        if self.left == 0:
            raise self.mm.InterruptProcessingException

    def __getattr__(self, name):
        return getattr(self.mm, name)


def test_a_stopped_run_goes_on(host, clips, folder, given, monkeypatch):
    import comfy.model_management as mm

    def stopped_after(steps):
        with monkeypatch.context() as patch:
            patch.setattr(host.pack("nodes.host.training.run"), "mm", StopAfter(mm, steps))
            return host.call("VLDM_TrainMotionLoRA", **given, dataset=dataset(host, clips)[0], **SETTINGS)

    with pytest.raises(mm.InterruptProcessingException):  # the looks are all that is learned yet
        stopped_after(1)
    assert [path.name for path in folder.parent.rglob("*.pt")] == ["made.looks.state.pt"]
    model, name = stopped_after(1)
    assert name == "made.safetensors" and model.get_additional_models_with_key("video_ldm.motion_lora")
    assert sorted(path.name for path in folder.parent.rglob("*.pt")) == [
        "made.looks.state.pt",
        "made.lora.state.pt",
    ]
    _, name = host.call("VLDM_TrainMotionLoRA", **given, dataset=dataset(host, clips)[0], **SETTINGS)
    assert name == "made_00002_.safetensors" and not list(folder.parent.rglob("*.pt"))


def test_mistakes_are_told(host, clips, folder, given):
    plain = {**given, "model": host.call("CheckpointLoaderSimple", ckpt_name=TOY)[0]}
    with pytest.raises(ValueError, match="no temporal layers that could learn a motion"):
        host.call("VLDM_TrainMotionLoRA", **plain, dataset=dataset(host, clips)[0], **SETTINGS)
    with pytest.raises(ValueError, match="No folder of clips is given"):
        dataset(host, "")
    with pytest.raises(ValueError, match="2 of 2 videos have no caption"):
        dataset(host, clips, trigger="")
    long = {**SETTINGS, "num_frames": 9}
    with pytest.raises(ValueError, match=r"None of 2 clips can be trained on: a.mp4 has 6 frames"):
        host.call("VLDM_TrainMotionLoRA", **given, dataset=dataset(host, clips)[0], **long)


@pytest.mark.parametrize("elsewhere", ["..", "/", "../clips", "~"])
def test_a_graph_cannot_name_folders_outside_those_of_the_host(host, elsewhere):
    match = "There is no folder '~'" if elsewhere == "~" else "lies outside ComfyUI's input folder"
    with pytest.raises(ValueError, match=match):
        dataset(host, elsewhere)


def test_a_changed_folder_is_noticed(host, clips):
    node = host.nodes["VLDM_VideoDataset"]
    before = node.fingerprint_inputs(folder=str(clips))
    assert before == node.fingerprint_inputs(folder=str(clips))
    (clips / "a.txt").write_text("a square")
    assert node.fingerprint_inputs(folder=str(clips)) != before


def test_a_camera_move_needs_no_clips(host, tmp_path, folder, given):
    from PIL import Image

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    with pytest.raises(ValueError, match="holds no pictures"):
        dataset(host, pictures, camera="zoom_in")
    for name in "ab":
        Image.effect_noise((96, 96), 50).save(pictures / f"{name}.png")
    (pictures / "c.png").write_bytes(b"no picture")
    footage, report = dataset(host, pictures, camera="zoom_in", trigger="")
    assert report == "3 pictures in pictures, 0 with captions; trigger: camera zooms in"
    _, name = host.call("VLDM_TrainMotionLoRA", **given, dataset=footage, **{**SETTINGS, "looks_steps": 0})
    assert (folder / name).is_file()
    (table,) = (path.read_text("utf-8") for path in folder.parent.rglob("clips.csv"))
    assert "a.png,0,4,yes," in table and "cannot be read as a picture" in table
