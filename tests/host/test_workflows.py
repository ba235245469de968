"""Every graph in workflows/ runs in the host with the toy models, small and short."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from video_ldm.demo.graphs import NOTES, to_api
from video_ldm.temporal.upscaler import save_upscaler
from video_ldm.tests.temporal.upscaler.tiny import random_upscaler

WORKFLOWS = sorted((Path(__file__).parents[2] / "workflows").glob("*.json"))
SIDE = 64
FRAMES = {
    "custom_sampling": 8,
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
    "upscale_clip": 4,
    "video_to_video": 4,
}
ENLARGED = {"upscale_clip": 4}
SMALL = {
    "BasicScheduler": {"steps": 1},
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
def files(host):
    """Under the names in the graphs: the picture that ComfyUI brings, a short video, a LoRA for the toy model."""
    from comfy_api.latest import InputImpl, Types

    folder = host.base / "input"
    folder.mkdir(exist_ok=True)
    frames = torch.rand(FRAMES["video_to_video"], 48, 80, 3, generator=torch.Generator().manual_seed(0))
    Image.fromarray((255 * frames[0]).numpy().astype(np.uint8)).save(folder / "example.png")
    components = Types.VideoComponents(images=frames, frame_rate=Fraction(8))
    InputImpl.VideoFromComponents(components).save_to(str(folder / "clip.mp4"))
    (host.base / "models" / "loras").mkdir(exist_ok=True)
    place = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"
    lora = {f"{place}.lora_up.weight": torch.ones(64, 2), f"{place}.lora_down.weight": torch.ones(2, 64)}
    save_file(lora, host.base / "models" / "loras" / "toy_style.safetensors")
    upscaler = host.base / "models" / "video_upscalers" / "toy_upscaler.safetensors"
    if not upscaler.exists():
        upscaler.parent.mkdir(exist_ok=True)
        save_upscaler(upscaler, random_upscaler())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_runs(host, files, path):
    graph = small(to_api(json.loads(path.read_text("utf-8")), host.client.object_info()), path.stem)
    run = host.run(graph)
    ends = {node["class_type"]: key for key, node in graph.items()}
    frames = run.outputs[ends.get("VLDM_VideoUpscale") or ends["VLDM_TemporalVAEDecode"]][0]
    side = SIDE * ENLARGED.get(path.stem, 1)
    assert frames.shape == (FRAMES[path.stem], side, side, 3)
    assert bool(torch.isfinite(frames).all())


def test_every_future_becomes_a_file(host):
    path = WORKFLOWS[0].with_name("several_futures.json")
    graph = small(to_api(json.loads(path.read_text("utf-8")), host.client.object_info()), path.stem)
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
