"""Mistakes of an artist through the whole graph.

One clear sentence, and the graph that ran before runs again.
"""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from video_ldm.demo.comfy import HostError
from video_ldm.demo.graphs import node_of_type, set_length, to_api
from video_ldm.temporal.formats import load_stack, save_stack

WORKFLOW = Path(__file__).parents[2] / "workflows" / "text_to_video.json"
LAYERS = "toy_temporal.safetensors"


@pytest.fixture(scope="module")
def graph(node_info):
    graph = to_api(json.loads(WORKFLOW.read_text(encoding="utf-8")), node_info)
    node_of_type(graph, "VLDM_VideoKSampler").update(steps=2)
    set_length(graph, 3, width=64, height=64)
    return graph


@pytest.fixture(scope="module")
def good(host, graph):
    return result(host, graph)


@pytest.fixture(scope="module")
def folder(host):
    return host.base / "models" / "temporal_layers"


def result(host, graph) -> torch.Tensor:
    """Frames of the clip that a graph makes."""
    decode = next(key for key, node in graph.items() if node["class_type"] == "VLDM_TemporalVAEDecode")
    return host.run(graph).outputs[decode][0]


def damaged_copy(folder: Path, name: str, **changed: torch.Tensor) -> None:
    from safetensors import safe_open

    with safe_open(folder / LAYERS, "pt") as file:
        save_file({**load_file(folder / LAYERS), **changed}, folder / name, file.metadata())


def not_temporal(folder: Path) -> None:
    save_file({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(1)}, folder / "bad.safetensors")


def a_lora(folder: Path) -> None:
    save_file({"lora_unet_x.lora_up.weight": torch.zeros(1)}, folder / "bad.safetensors")


def truncated(folder: Path) -> None:
    (folder / "bad.safetensors").write_bytes((folder / LAYERS).read_bytes()[:-1000])


def corrupt(folder: Path) -> None:
    (folder / "bad.safetensors").write_bytes(b"<html>not found</html>" * 100)


class RunsCode:
    def __reduce__(self):
        return (print, ("this must never be printed",))


def malicious_pickle(folder: Path) -> None:
    (folder / "bad.safetensors").write_bytes(pickle.dumps({"weight": RunsCode()}))


def with_nan(folder: Path) -> None:
    key = next(iter(load_file(folder / LAYERS)))
    damaged_copy(folder, "bad.safetensors", **{key: load_file(folder / LAYERS)[key] * float("nan")})


def for_another_model(folder: Path) -> None:
    from dataclasses import replace

    from video_ldm.temporal.stack.stack import TemporalStack

    config = load_stack(folder / LAYERS).config
    other = replace(config, base="SDXL", unet=replace(config.unet, context_dim=64))
    save_stack(folder / "bad.safetensors", TemporalStack(other))


BAD_FILES = {
    not_temporal: "holds no temporal layers: it is a checkpoint of an image model; load it with Load "
    "Checkpoint",
    a_lora: "holds no temporal layers: it is a LoRA; load it with a LoRA loader",
    truncated: "bad.safetensors is truncated; download or copy it again",
    corrupt: "bad.safetensors is not a file of weights",
    malicious_pickle: "would run code when opened, so it was not opened",
    with_nan: "is not finite (NaN or infinite)",
    for_another_model: "made for SDXL (64 channels x (1, 2), text width 64)",
}


@pytest.mark.parametrize("make", BAD_FILES, ids=lambda make: make.__name__)
def test_a_bad_file_is_refused_and_the_graph_before_still_runs(host, graph, good, folder, capfd, make):
    make(folder)
    bad = copy.deepcopy(graph)
    node_of_type(bad, "VLDM_LoadTemporalLayers").update(file="bad.safetensors")
    with pytest.raises(HostError) as error:
        host.run(bad)
    assert BAD_FILES[make] in str(error.value)
    assert "this must never be printed" not in capfd.readouterr().out
    assert torch.equal(result(host, graph), good)


@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
def test_damaged_files_of_all_kinds_leave_a_host_that_works(host, graph, good, folder, tmp_path):
    """Through the loaders as the host has them; what is not refused may be used."""
    from video_ldm.tests import damage

    errors = host.pack("temporal.errors")
    model = host.call("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors")[0]
    lora_folder = host.base / "models" / "motion_lora"
    lora_folder.mkdir(exist_ok=True)
    refused = 0
    for what, name, content in list(damage.damaged(damage.Good.made(tmp_path)))[::12]:
        node, place = ("LoadMotionLoRA", lora_folder) if name == "lora" else ("LoadTemporalLayers", folder)
        (place / "bad.safetensors").unlink(missing_ok=True)
        (place / "bad.safetensors").write_bytes(content)
        try:
            host.call(f"VLDM_{node}", model=model, file="bad.safetensors", strength=1.0)
        except errors.VideoLDMError as error:
            refused += 1
            assert str(error).isprintable(), what
    assert refused > 30
    assert torch.equal(result(host, graph), good)


BAD_VALUES = {
    "too many frames": (
        {"VLDM_EmptyClip": {"seconds": 62.5}},
        "The clip has 500 frames; these temporal layers",
    ),
    "a file that is gone": (
        {"VLDM_LoadTemporalLayers": {"file": "gone.safetensors"}},
        "There is no file 'gone.safetensors' in models/temporal_layers",
    ),
    "an unknown kind of noise": ({"VLDM_VideoKSampler": {"noise_type": "pink"}}, "'pink'"),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_a_bad_value_is_refused_and_the_graph_before_still_runs(host, graph, good, case):
    changes, message = BAD_VALUES[case]
    bad = copy.deepcopy(graph)
    for class_type, inputs in changes.items():
        node_of_type(bad, class_type).update(inputs)
    with pytest.raises(HostError) as error:
        host.run(bad)
    assert message in str(error.value)
    assert torch.equal(result(host, graph), good)
