"""Every graph in workflows/ runs in the host with the toy models, small and short."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from video_ldm.demo.graphs import NOTES, to_api

WORKFLOWS = sorted((Path(__file__).parents[2] / "workflows").glob("*.json"))
SIDE = 64
FRAMES = {
    "image_to_video": 8,
    "keyframes_to_113_frames": 33,
    "long_video": 5 + 4 * 3,
    "longer_than_trained": 9,
    "prompt_travel": 8,
    "seamless_loop": 8,
    "several_futures": 5 + 3,
    "storyboard": 13,
    "text_to_video": 5,
}
SMALL = {
    "EmptyLatentImage": {"width": SIDE, "height": SIDE},
    "ImageScale": {"width": SIDE, "height": SIDE},
    "VLDM_VideoKSampler": {"steps": 1},
    "VLDM_LatentInterpolate": {"steps": 1},
    "VLDM_ExtendVideo": {"steps": 1, "segment_length": 5},
    "VLDM_VideoWindows": {"context_length": 6},
}
SHORT = {
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
def pictures(host):
    """The picture that ComfyUI brings, other ones under the same name would do as well."""
    pixels = np.random.default_rng(0).integers(0, 255, (48, 80, 3), np.uint8)
    (host.base / "input").mkdir(exist_ok=True)
    Image.fromarray(pixels).save(host.base / "input" / "example.png")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_runs(host, pictures, path):
    graph = small(to_api(json.loads(path.read_text("utf-8")), host.client.object_info()), path.stem)
    run = host.run(graph)
    decode = next(key for key, node in graph.items() if node["class_type"] == "VLDM_TemporalVAEDecode")
    frames = run.outputs[decode][0]
    assert frames.shape == (FRAMES[path.stem], SIDE, SIDE, 3)
    assert bool(torch.isfinite(frames).all())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_can_be_read(path):
    """Titled groups from left to right, and a note that says which file goes where."""
    workflow = json.loads(path.read_text("utf-8"))
    left = [group["bounding"][0] for group in workflow["groups"]]
    assert left == sorted(left) and all(group["title"] for group in workflow["groups"])
    notes = [node["widgets_values"][0] for node in workflow["nodes"] if node["type"] in NOTES]
    assert any("models/checkpoints" in note and "models/temporal_layers" in note for note in notes)
