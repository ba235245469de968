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
from video_ldm.temporal.decoder import TAESD, DecoderConfig, TemporalDecoder, save_decoder
from video_ldm.temporal.upscaler import save_upscaler
from video_ldm.tests.temporal.upscaler.tiny import random_upscaler

from . import lavie_rig, video_rig

WORKFLOWS = sorted((Path(__file__).parents[2] / "workflows").glob("*.json"))
SIDE = 64
TOY_TEXT = 48  # width of the toy text encoder
FRAMES = {
    "animate_image_animatelcm": 5,
    "animate_image_pia": 5,
    "custom_sampling": 8,
    "image_to_video": 8,
    "keyframes_to_113_frames": 33,
    "lavie": 3,
    "lavie_interpolation": 5,
    "long_video": 5 + 4 * 3,
    "longer_than_trained": 9,
    "motion_lora": 5,
    "personalised_model": 8,
    "prompt_travel": 8,
    "seamless_loop": 8,
    "seine": 3,
    "several_futures": 5 + 3,
    "sparse_control": 5,
    "storyboard": 13,
    "text_to_video": 5,
    "video_to_video": 4,
    "videocrafter": 3,
    "zeroscope": 3,
    "whole_cascade": 33,
}
ENLARGED = {"whole_cascade": 4}
SMALL = {
    "BasicScheduler": {"steps": 1},
    "CheckpointLoaderSimple": {"ckpt_name": "toy_sd.safetensors"},
    "EmptyLatentImage": {"width": SIDE, "height": SIDE},
    "ImageScale": {"width": SIDE, "height": SIDE},
    "VLDM_VideoKSampler": {"steps": 1},
    "VLDM_LatentInterpolate": {"steps": 1},
    "VLDM_ExtendVideo": {"steps": 1, "segment_length": 5},
    "VLDM_LoadVideoUpscaler": {"steps": 1},
    "VLDM_VideoWindows": {"context_length": 6},
}
SHORT = {
    **dict.fromkeys(("animate_image_animatelcm", "animate_image_pia", "motion_lora", "sparse_control"), 5),
    "keyframes_to_113_frames": 3,
    "lavie": 3,
    "lavie_interpolation": {16: 2, 61: 5},
    "longer_than_trained": 9,
    "long_video": 5,
    "seine": 3,
    "several_futures": 5,
    "text_to_video": 5,
    "videocrafter": 3,
    "zeroscope": 3,
    "whole_cascade": 3,
}


def small(graph: dict, name: str) -> dict:
    """The graph at a size that takes a second."""
    for node in graph.values():
        node["inputs"].update(SMALL.get(node["class_type"], {}))
        if node["class_type"] == "EmptyLatentImage" and name in SHORT:
            short, frames = SHORT[name], node["inputs"]["batch_size"]
            node["inputs"]["batch_size"] = short[frames] if isinstance(short, dict) else short
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


@pytest.fixture(scope="module")
def second_half(host):
    """A temporal decoder and an upscaler under the names in the graphs, random and tiny where they are not bundled."""
    models = host.base / "models"
    decoder, upscaler = (
        models / "temporal_decoders" / "toy_decoder.safetensors",
        models / "video_upscalers" / "toy_upscaler.safetensors",
    )
    if not decoder.exists():
        save_decoder(decoder, TemporalDecoder(DecoderConfig(TAESD, "SD")))
    if not upscaler.exists():
        save_upscaler(upscaler, random_upscaler())


@pytest.fixture(scope="module")
def video_models(host):
    """Whole video models under the names in the graphs, tiny, beside a checkpoint with the toy text encoder and VAE."""
    import comfy.supported_models as supported

    models = host.base / "models"
    toy = (models / "checkpoints" / "toy_sd.safetensors").resolve()
    (models / "checkpoints" / "v2-1_512-ema-pruned.safetensors").symlink_to(toy)
    folder = models / "diffusion_models"
    folder.mkdir(exist_ok=True)
    unet = video_rig.modelscope(text=TOY_TEXT)
    save_file(video_rig.modelscope_as_published(unet), folder / "zeroscope_v2_576w.safetensors")
    weights = video_rig.videocrafter_as_published(unet, video_rig.frame_rate_weights(), convs=True)
    torch.save({"state_dict": weights}, folder / "videocrafter2.ckpt")
    shape = video_rig.tiny_shape(host.pack("temporal.plan"), text=TOY_TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supported, "models", [*supported.models, *video_rig.tiny_kinds(text=TOY_TEXT)])
        patch.setattr(host.pack("temporal.formats.lvdm"), "SHAPE", shape)
        yield


@pytest.fixture(scope="module")
def lavie_models(host, video_models):
    """The same for LaVie and its relatives, which read text as SD 1.x does."""
    models = host.base / "models"
    toy = (models / "checkpoints" / "toy_sd.safetensors").resolve()
    (models / "checkpoints" / "v1-5-pruned-emaonly.safetensors").symlink_to(toy)
    for listing in ("lavie_base", "lavie_interpolation", "seine"):
        weights = lavie_rig.tiny_weights(listing, text=TOY_TEXT)
        torch.save({"ema": weights}, models / "diffusion_models" / f"{listing}.pt")
    with pytest.MonkeyPatch.context() as patch:
        lavie_rig.tell_host(patch, host.pack("temporal.formats"), text=TOY_TEXT)
        yield


@pytest.fixture(scope="module")
def published(host):
    """Random files in published spellings, at the size of the toy model, under the names in the graphs."""
    from .toy_families import write_families

    motion_modules = host.pack("temporal.formats.motion_modules")
    toy = write_families(host.base / "models")
    motion_modules.BASES[len(toy.channel_mult)] = (
        "SD 1.x",
        host.pack("temporal.plan").UNetShape(**vars(toy)),
    )
    yield
    del motion_modules.BASES[len(toy.channel_mult)]


def last_frames(graph: dict, run) -> torch.Tensor:
    """The decoded frames, or those of the film where they were never held."""
    ends = {node["class_type"]: key for key, node in graph.items()}
    if "VLDM_RenderVideo" in ends:
        return run.outputs[ends["VLDM_RenderVideo"]][0].get_components().images
    return run.outputs[ends["VLDM_TemporalVAEDecode"]][0]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_runs(host, files, lavie_models, published, second_half, path):
    graph = small(to_api(json.loads(path.read_text("utf-8")), host.client.object_info()), path.stem)
    run = host.run(graph)
    frames = last_frames(graph, run)
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
    folders = ("models/temporal_layers", "models/diffusion_models")
    assert any("models/checkpoints" in note and any(folder in note for folder in folders) for note in notes)
