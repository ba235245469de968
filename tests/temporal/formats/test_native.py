"""Files of temporal layers: a round trip, and one clear sentence for every file that cannot be used."""

import json
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from video_ldm.temporal.errors import CheckpointFormatError, OutputError
from video_ldm.temporal.formats import load_stack, open_stack, report, save_stack
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.sampling.clip import Clip
from video_ldm.temporal.stack.plan import SDXL
from video_ldm.temporal.stack.stack import StackConfig

from ..tiny import CONFIG, inputs, new_stack, site_of, trained_stack


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    path = tmp_path_factory.mktemp("saved") / "layers.safetensors"
    save_stack(path, trained_stack(), {"note": "made by a test"})
    return path


def rewrite(saved, path, change_tensors=None, **metadata):
    """A copy of a file with other tensors or notes."""
    tensors = load_file(saved)
    if change_tensors is not None:
        change_tensors(tensors)
    with safe_open(saved, "pt") as file:
        save_file(tensors, path, {**file.metadata(), **metadata})
    return path


def refused(path, message):
    with pytest.raises(CheckpointFormatError, match=message) as error:
        load_stack(path)
    assert "\n" not in str(error.value)


def test_round_trip_keeps_config_and_every_weight(saved):
    original, loaded = trained_stack(), load_stack(saved)
    assert loaded.config == original.config
    assert loaded.sites == original.sites
    for name, parameter in original.named_parameters():
        assert torch.equal(loaded.get_parameter(name), parameter), name
        assert loaded.get_parameter(name).requires_grad


@pytest.mark.slow
def test_a_file_says_where_its_positions_are_and_one_that_does_not_has_them_in_the_attention(tmp_path, saved):
    """Files written before positions could be on the tokens give what they gave."""
    with safe_open(saved, "pt") as file:
        assert "positions" not in json.loads(file.metadata()["config"])
    given = inputs(site_of("transformer"), 3)
    outputs = []
    for positions in (None, "tokens"):
        stack = trained_stack(positions=positions)
        save_stack(tmp_path / "layers.safetensors", stack)
        loaded = load_stack(tmp_path / "layers.safetensors")
        assert loaded.config.positions == positions
        pair = [s(site_of("transformer"), clip=s.prepare(Clip(3)), **given) for s in (stack, loaded)]
        assert torch.equal(*pair)
        outputs.append(pair[0])
    assert (outputs[0] - outputs[1]).abs().max() > 1e-2


def changing_stack():
    """A stack whose image model was trained along, and what changed in it."""
    stack = trained_stack(image_model="changed")
    stack.changed_image = {"out.2.weight": torch.linspace(0, 1, 36).reshape(4, 1, 3, 3)}
    return stack


@pytest.mark.slow
def test_a_file_brings_what_changed_in_the_image_model_and_it_is_no_weight_of_the_layers(tmp_path):
    stack, path = changing_stack(), tmp_path / "layers.safetensors"
    save_stack(path, stack)
    loaded, source = open_stack(path)
    assert loaded.config == stack.config
    assert loaded.state_dict().keys() == stack.state_dict().keys() == loaded.shapes.keys()
    assert list(loaded.changed_image) == ["out.2.weight"]
    assert torch.equal(loaded.changed_image["out.2.weight"], stack.changed_image["out.2.weight"])
    assert "trained along, 0.0 M of its weights change" in report(loaded, source)
    loaded.train_image({"out.2.weight": (4, 1, 3, 3)})
    assert torch.equal(
        loaded.get_parameter("image_changes.out.2.weight"), stack.changed_image["out.2.weight"]
    )
    save_stack(path, loaded)
    assert load_stack(path).changed_image.keys() == stack.changed_image.keys()


@pytest.mark.parametrize("bring", [True, False])
def test_a_description_that_denies_what_changed_is_refused(tmp_path, bring):
    path, stack = tmp_path / "layers.safetensors", changing_stack() if bring else trained_stack()
    if bring:
        stack.changed_image = {}
    else:
        stack.changed_image = {"out.2.weight": torch.ones(4, 1, 3, 3)}
    save_stack(path, stack)
    refused(path, "changes of an image model, and its description says otherwise")


def test_a_change_that_is_no_number_is_refused(tmp_path):
    stack = changing_stack()
    stack.changed_image["out.2.weight"][0, 0, 0, 0] = torch.nan
    save_stack(tmp_path / "layers.safetensors", stack)
    refused(tmp_path / "layers.safetensors", "not finite")


def test_loads_in_the_precision_that_is_asked_for(saved):
    assert {p.dtype for p in load_stack(saved, dtype=torch.float16).parameters()} == {torch.float16}


def test_loads_into_the_modules_that_are_asked_for(saved):
    class Linear(torch.nn.Linear):
        pass

    class Ops:
        Conv2d, GroupNorm, LayerNorm = torch.nn.Conv2d, torch.nn.GroupNorm, torch.nn.LayerNorm

    Ops.Linear = Linear
    linears = [m for m in load_stack(saved, ops=Ops).modules() if isinstance(m, torch.nn.Linear)]
    assert linears and all(type(m) is Linear for m in linears)


def test_saving_replaces_the_file_in_one_step(tmp_path, monkeypatch):
    path = tmp_path / "layers.safetensors"
    save_stack(path, new_stack())
    before = path.read_bytes()
    monkeypatch.setattr("video_ldm.temporal.weights.files.save_file", fail)
    with pytest.raises(OutputError, match="cannot be written: disk full"):
        save_stack(path, trained_stack())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def fail(*args, **kwargs):
    raise OSError("disk full")


@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        replace(CONFIG, unet=SDXL, transformers="last"),
        replace(CONFIG, motion=MotionConfig(middle=True, clip_norm=False, clip_norm_image=True)),
    ],
)
def test_config_round_trip(config):
    assert StackConfig.from_json(config.to_json()) == config


def test_files_of_our_own_layers_do_not_speak_of_motion_modules():
    """Files written before motion modules were known stay what they are, and older packs read new ones."""
    assert "motion" not in json.loads(CONFIG.to_json())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("base"), r"\['base'\] missing, \[\] unknown"),
        (lambda c: c.update(colour="red"), r"\[\] missing, \['colour'\] unknown"),
        (lambda c: c["unet"].pop("num_heads"), r"\['num_heads'\] missing"),
        (lambda c: c.update(max_frames="many"), "max_frames = 'many', but int was expected"),
        (lambda c: c.update(known_frames=1), "known_frames = 1, but bool was expected"),
        (lambda c: c.update(unet=[1]), "'channel_mult', 'context_dim'"),
    ],
)
def test_config_with_wrong_fields_is_refused(change, message):
    values = json.loads(CONFIG.to_json())
    change(values)
    with pytest.raises(CheckpointFormatError, match=message):
        StackConfig.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_config_that_is_no_config_is_refused(text):
    with pytest.raises(CheckpointFormatError, match="description of its weights"):
        StackConfig.from_json(text)


def test_newer_version_is_refused(saved, tmp_path):
    refused(
        rewrite(saved, tmp_path / "a", version="2"), "version 2 of the format, but this pack reads version 1"
    )


def test_missing_and_unknown_keys_are_refused_and_named(saved, tmp_path):
    def change(tensors):
        for key in sorted(tensors)[:5]:
            tensors["old." + key] = tensors.pop(key)

    message = r"missing: .* and 2 more; unknown: old\.frame_rate\.linear_in\.bias, .* and 2 more\."
    refused(rewrite(saved, tmp_path / "a", change), message)


def test_wrong_shape_is_refused(saved, tmp_path):
    def change(tensors):
        tensors["frame_rate.linear_in.bias"] = torch.zeros(3)

    refused(
        rewrite(saved, tmp_path / "a", change), r"linear_in\.bias has shape \(3,\), but \(256,\) was expected"
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(saved, tmp_path, value):
    def change(tensors):
        tensors["frame_rate.linear_in.bias"][7] = value

    refused(rewrite(saved, tmp_path / "a", change), r"linear_in\.bias is not finite \(NaN or infinite\)")


def test_missing_file_is_refused(tmp_path):
    refused(tmp_path / "none.safetensors", "There is no file at .*none.safetensors")


@pytest.mark.parametrize("size", [0.02, 0.5, 0.999])
def test_truncated_file_is_refused(saved, tmp_path, size):
    content = saved.read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(content[: int(len(content) * size)])
    refused(tmp_path / "cut.safetensors", r"cut\.safetensors is truncated; download or copy it again")


def test_corrupt_file_is_refused(saved, tmp_path):
    content = bytearray(saved.read_bytes())
    content[20:40] = b"\xff" * 20
    (tmp_path / "bad.safetensors").write_bytes(content)
    refused(tmp_path / "bad.safetensors", r"bad\.safetensors is corrupt; download or copy it again")


@pytest.mark.parametrize(
    "content", [b"", b"<html>404</html>", b"version https://git-lfs.github.com/spec/v1\n"]
)
def test_file_that_holds_no_weights_is_refused(tmp_path, content):
    (tmp_path / "page.safetensors").write_bytes(content)
    refused(tmp_path / "page.safetensors", "is not a file of weights")


class Malicious:
    """A pickle's call: this one makes a file when it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


@pytest.mark.parametrize(
    "save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content, protocol=2))]
)
def test_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, save):
    trap = tmp_path / "trap"
    save({"weight": Malicious(str(trap))}, tmp_path / "evil.ckpt")
    refused(
        tmp_path / "evil.ckpt",
        r"evil\.ckpt is a pickle that would run code when opened, so it was not opened",
    )
    assert not trap.exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_cut_pickle_is_refused(tmp_path, legacy):
    path = tmp_path / "cut.pt"
    torch.save({"weight": torch.zeros(1000)}, path, _use_new_zipfile_serialization=not legacy)
    path.write_bytes(path.read_bytes()[:1000])
    refused(path, r"cut\.pt is (truncated or )?corrupt")


def test_pickle_without_weights_is_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    refused(tmp_path / "list.pt", "holds a list, not a collection of weights")


def test_a_description_says_only_what_is_set_and_nothing_unknown(tmp_path):
    """Parts that came later change no older file; a choice of a later version is refused."""
    motion = MotionConfig(middle=False, clip_norm=False, clip_norm_image=False)
    text = replace(CONFIG, motion=motion, known_frames=False).to_json()
    assert "null" not in text and '"image"' not in text and '"control"' not in text
    with pytest.raises(CheckpointFormatError, match=r"says image = 'sound', but .*affinity.* was expected"):
        StackConfig.from_json(text[:-1] + ', "image": "sound"}')
