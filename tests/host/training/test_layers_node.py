"""Train Temporal Layers in a graph: new layers and those of a MODEL; a stopped run keeps and goes on."""

from __future__ import annotations

import csv

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from .test_buckets_command import write_film
from .test_motion_lora_node import TOY, StopAfter, allowed, clips, dataset, given, weights

__all__ = ["allowed", "clips", "given"]  # fixtures
SETTINGS = {
    "filename": "made", "steps": 2, "learning_rate": 1e-3, "num_frames": 4, "batch_size": 1,
    "known_frames": "none=0.5, first=0.5", "memory": "fast", "seed": 0, "resume": True,
}  # fmt: skip


@pytest.fixture
def folder(host, tmp_path, monkeypatch):
    """An empty models/temporal_layers and output folder."""
    import folder_paths

    host.pack("nodes.host.files").register_folders()
    models = tmp_path / "temporal_layers"
    models.mkdir()
    _, extensions = folder_paths.folder_names_and_paths["temporal_layers"]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "temporal_layers", ([str(models)], extensions))
    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path / "output"))
    return models


def train(host, given, footage, **changes):
    settings = {**SETTINGS, **changes}
    return host.call("VLDM_TrainTemporalLayers", **{"dataset": footage, **given, **settings})


def layers(model):
    return model.get_additional_models_with_key("video_ldm")


def test_new_layers_are_trained_and_go_on_in_a_chain(host, clips, folder, given):
    image = {**given, "model": host.call("CheckpointLoaderSimple", ckpt_name=TOY)[0]}
    before = {name: weight.clone() for name, weight in image["model"].model.state_dict().items()}
    footage = dataset(host, clips)[0]
    first, name = train(host, image, footage)
    assert name == "made.safetensors" and len(layers(first)) == 1 and not layers(image["model"])
    after = image["model"].model.state_dict()
    assert all(torch.equal(weight, after[key]) for key, weight in before.items())
    config = layers(first)[0].model.config
    assert (config.max_frames, config.known_frames, config.base) == (
        4,
        True,
        layers(given["model"])[0].model.config.base,
    )
    second, name = train(host, {**image, "model": first}, footage, filename="more", memory="small")
    assert len(layers(second)) == 1
    made = [load_file(folder / file) for file in ("made.safetensors", name)]
    assert made[0].keys() == made[1].keys()
    assert any(not torch.equal(made[0][key], made[1][key]) for key in made[0])
    wrappers = [model.get_wrappers("apply_model", "video_ldm") for model in (first, second)]
    assert [len(found) for found in wrappers] == [1, 1]
    assert not list(folder.parent.rglob("*.pt"))


def test_films_of_other_shapes_and_pictures_are_trained_on_where_the_data_set_says_so(
    host, clips, folder, given
):
    write_film(clips / "wide.mp4", (128, 64), 6)
    Image.new("RGB", (80, 80), "teal").save(clips / "picture.png")
    (clips / "picture.txt").write_text("a teal square")
    before = layers(given["model"])[0].model.state_dict()
    trained, _ = train(host, given, dataset(host, clips, buckets=True, images=0.5)[0], steps=3)
    after = layers(trained)[0].model.state_dict()
    assert any(not torch.equal(weight, after[name]) for name, weight in before.items())
    [table] = folder.parent.rglob("clips.csv")
    rows = csv.DictReader(table.read_text("utf-8").splitlines())
    assert {row["file"]: row["bucket"] for row in rows} == {
        "a.mp4": "80x48, 4 frames",
        "b.mp4": "80x48, 4 frames",
        "picture.png": "64x64, pictures",
        "wide.mp4": "96x48, 4 frames",
    }


def test_layers_of_a_file_keep_their_settings_and_the_model_its_weights(host, clips, folder, given):
    before = weights(given["model"])
    trained, _ = train(host, given, dataset(host, clips)[0], steps=1)
    after = weights(given["model"])
    assert all(torch.equal(weight, after[key]) for key, weight in before.items())
    assert trained.get_attachment("video_ldm") == given["model"].get_attachment("video_ldm")
    assert layers(trained)[0].model.config == layers(given["model"])[0].model.config


def test_a_stopped_run_keeps_what_it_learned_and_goes_on_bit_for_bit(host, clips, folder, given, monkeypatch):
    import comfy.model_management as mm

    node, footage = host.nodes["VLDM_TrainTemporalLayers"], dataset(host, clips)[0]
    train(host, given, footage, filename="straight")
    seen = [node.fingerprint_inputs(filename="made")]
    with monkeypatch.context() as patch:
        patch.setattr(host.pack("nodes.host.training.run"), "mm", StopAfter(mm, 1))
        stopped, name = train(host, given, footage)
    seen.append(node.fingerprint_inputs(filename="made"))
    assert name == "made.safetensors" and (folder / name).is_file() and len(layers(stopped)) == 1
    assert [path.name for path in folder.parent.rglob("*.pt")] == ["made.layers.state.pt"]
    _, name = train(host, given, footage)
    seen.append(node.fingerprint_inputs(filename="made"))
    assert seen[0] != seen[1] == seen[2]  # the host runs the node again after a stop, and not after the end
    assert name == "made_00002_.safetensors" and not list(folder.parent.rglob("*.pt"))
    files = [load_file(folder / file) for file in ("straight.safetensors", name, "made.safetensors")]
    assert all(torch.equal(files[0][key], files[1][key]) for key in files[0])
    assert any(not torch.equal(files[0][key], files[2][key]) for key in files[0])


def test_a_run_that_is_stopped_before_its_first_step_leaves_nothing(host, clips, folder, given, monkeypatch):
    import comfy.model_management as mm

    run = host.pack("nodes.host.training.run")

    def stopped(*_args, **_options):
        raise mm.InterruptProcessingException

    monkeypatch.setattr(host.pack("temporal.training.loop").LayersTrainer, "run", stopped)
    with pytest.raises(mm.InterruptProcessingException):
        train(host, given, dataset(host, clips)[0])
    assert not list(folder.iterdir()) and run.stops("temporal_layers", "made", ".layers") == ""
    assert run.stops("temporal_layers", "../made", ".layers") == ""


def test_mistakes_are_told(host, clips, folder, given, monkeypatch):
    footage = dataset(host, clips)[0]
    with pytest.raises(ValueError, match="Unknown known-frame pattern 'half'"):
        train(host, given, footage, known_frames="half")
    models = host.pack("nodes.host.training.models").Checkpoint
    with monkeypatch.context() as patch:
        patch.setattr(models, "enlarges", True)
        with pytest.raises(ValueError, match="The MODEL is the SD x4 upscaler"):
            train(host, given, footage)
    carries = {**given, "model": given["model"].clone()}
    carries["model"].set_additional_models("video_ldm.motion_lora", layers(given["model"]))
    carries["model"].set_attachments("video_ldm.motion_lora", (0,))
    with pytest.raises(ValueError, match="carry a motion LoRA, which would be lost"):
        train(host, carries, footage)
    assert not list(folder.iterdir())
