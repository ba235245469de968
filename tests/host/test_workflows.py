"""Every graph in workflows/ runs in the host with the toy models, small and short."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from video_ldm.demo.graphs import NOTES, node_of_type, to_api

from . import stand_ins

WORKFLOWS = sorted((Path(__file__).parents[2] / "workflows").glob("*.json"))
SIDE = 64
FRAMES = {
    "animatediff_lightning": 5,
    "animatediff_sdxl": 5,
    "animatediff_v2": 9,
    "animatediff_v3": 9,
    "animatelcm": 5,
    "custom_sampling": 8,
    "driving_scene": 1 + 4 + 3 * 3,
    "hotshot_xl": 5,
    "image_to_video": 8,
    "keyframes_to_113_frames": 33,
    "long_video": 5 + 4 * 3,
    "longer_than_trained": 9,
    "personalised_model": 8,
    "prompt_travel": 8,
    "seamless_loop": 8,
    "several_futures": 5 + 3,
    "storyboard": 13,
    "text_to_video": 5,
    "textual_inversion": 8,
    "video_to_video": 4,
}
SMALL = {
    "BasicScheduler": {"steps": 1},
    "KSampler": {"steps": 1},
    "EmptyLatentImage": {"width": SIDE, "height": SIDE},
    "ImageScale": {"width": SIDE, "height": SIDE},
    "VLDM_VideoKSampler": {"steps": 1},
    "VLDM_LatentInterpolate": {"steps": 1},
    "VLDM_ExtendVideo": {"steps": 1, "segment_length": 5},
    "VLDM_VideoWindows": {"context_length": 6},
}
SHORT = {
    **{name: FRAMES[name] for name in stand_ins.FAMILIES},
    "keyframes_to_113_frames": 3,
    "longer_than_trained": 9,
    "long_video": 5,
    "several_futures": 5,
    "text_to_video": 5,
}


def small(graph: dict, name: str) -> dict:
    """The graph at a size that takes a second."""
    for node in graph.values():
        node["inputs"].update(SMALL.get(node["class_type"], {}))
        if node["class_type"] == "EmptyLatentImage" and name in SHORT:
            node["inputs"]["batch_size"] = SHORT[name]
    return graph


@pytest.fixture(scope="module")
def files(host):
    """Under the names in the graphs: the picture that ComfyUI brings, a short video, a LoRA for the toy model."""
    from comfy_api.latest import InputImpl, Types

    folder = host.base / "input"
    folder.mkdir(exist_ok=True)
    frames = torch.rand(FRAMES["video_to_video"], 48, 80, 3, generator=torch.Generator().manual_seed(0))
    Image.fromarray((255 * frames[0]).numpy().astype(np.uint8)).save(folder / "example.png")
    components = Types.VideoComponents(images=frames, frame_rate=Fraction(8))
    InputImpl.VideoFromComponents(components).save_to(str(folder / "clip.mp4"))
    stand_ins.write_embedding(host.base / "models" / "embeddings" / "toy_style.safetensors")


@pytest.fixture
def read(host, files, monkeypatch):
    """A graph of `workflows/`, small, with tiny files under the names in it."""

    def read(path):
        graph = small(to_api(json.loads(path.read_text("utf-8")), host.client.object_info()), path.stem)
        stand_ins.put(host.base / "models", graph, path.stem)
        if path.stem in stand_ins.FAMILIES:
            bases = stand_ins.bases(path.stem, host.pack("temporal.formats"))
            monkeypatch.setattr(host.pack("temporal.formats.motion_modules"), "BASES", bases)
        return graph

    return read


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_runs(host, read, path):
    graph = read(path)
    run = host.run(graph)
    decode = next(key for key, node in graph.items() if node["class_type"] == "VLDM_TemporalVAEDecode")
    frames = run.outputs[decode][0]
    assert frames.shape == (FRAMES[path.stem], SIDE, SIDE, 3)
    assert bool(torch.isfinite(frames).all())


@pytest.mark.parametrize("name", stand_ins.FAMILIES)
def test_the_layers_of_a_family_are_what_its_graph_is_for(host, read, name):
    graph = read(WORKFLOWS[0].with_name(f"{name}.json"))
    load = node_of_type(graph, "VLDM_LoadTemporalLayers")
    model = host.call("CheckpointLoaderSimple", ckpt_name="toy_sd.safetensors")[0]
    report = host.call("VLDM_LoadTemporalLayers", **{**load, "model": model})[1]
    family = stand_ins.FAMILIES[name][0]
    assert report.startswith(family)
    sampler = node_of_type(graph, "VLDM_VideoKSampler")["sampler_name"]
    assert (sampler == "lcm") == ("Sampler lcm" in report)


def test_boxes_reach_the_first_frame(host, read):
    graph = read(WORKFLOWS[0].with_name("driving_scene.json"))
    first = next(key for key, node in graph.items() if node["class_type"] == "KSampler")
    seen = []
    for width in (16, 32):
        node_of_type(graph, "GLIGENTextBoxApply")["width"] = width
        seen.append(host.run(graph).outputs[first][0]["samples"])
    assert seen[0].shape[0] == 1 and not torch.equal(*seen)


def test_every_future_becomes_a_file(host, read):
    graph = read(WORKFLOWS[0].with_name("several_futures.json"))
    save = next(key for key, node in graph.items() if node["class_type"] == "SaveVideo")
    assert len(host.run(graph).shown[save]["images"]) == 3


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_can_be_read(path):
    """Titled groups from left to right, and a note that says which file goes where."""
    workflow = json.loads(path.read_text("utf-8"))
    left = [group["bounding"][0] for group in workflow["groups"]]
    assert left == sorted(left) and all(group["title"] for group in workflow["groups"])
    notes = [node["widgets_values"][0] for node in workflow["nodes"] if node["type"] in NOTES]
    assert any("models/checkpoints" in note and "models/temporal_layers" in note for note in notes)
