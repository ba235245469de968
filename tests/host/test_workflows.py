"""Every graph in workflows/ runs in the host with the toy models, small and short."""

from __future__ import annotations

import json
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from video_ldm.demo.graphs import ALWAYS, EMPTY, NOTES, node_of_type, node_titled, to_api

from . import stand_ins, toy_checkpoints
from .families import lavie_rig, video_rig
from .layers.test_motion_director import matrices_for

WORKFLOWS = sorted((Path(__file__).parents[2] / "workflows").glob("*.json"))
EMBEDDING = Path("models/embeddings/toy_style.safetensors")
SIDE = 64
TOY_TEXT = 48  # width of the toy text encoder
FRAMES = {
    "animate_image_animatelcm": 5,
    "animate_image_pia": 5,
    "animatediff_lightning": 5,
    "animatediff_sdxl": 5,
    "animatediff_svd_decoder": 5,
    "animatediff_v2": 9,
    "animatediff_v3": 9,
    "animatelcm": 5,
    "custom_sampling": 8,
    "driving_scene": 1 + 4 + 3 * 3,
    "hotshot_xl": 5,
    "image_to_video": 8,
    "keyframes_to_113_frames": 33,
    "lavie": 3,
    "lavie_interpolation": 5,
    "long_video": 5 + 4 * 3,
    "longer_than_trained": 9,
    "motion_director": 3,
    "motion_lora": 5,
    "orbit": 4,
    "personalised_model": 8,
    "prompt_travel": 8,
    "seamless_loop": 8,
    "seine": 3,
    "several_futures": 5 + 3,
    "sparse_control": 5,
    "stable_video_diffusion": 3,
    "storyboard": 13,
    "text_to_video": 5,
    "textual_inversion": 8,
    "train_motion_lora": 3,
    "train_temporal_decoder": 4,
    "train_temporal_layers": 3,
    "upscale_a_video": 4,
    "upscale_clip": 4,
    "upscale_lavie": 4,
    "video_to_video": 4,
    "videocrafter": 3,
    "videocrafter_image": 3,
    "zeroscope": 3,
    "whole_cascade": 33,
}
ENLARGED = {"upscale_clip": 4, "whole_cascade": 4}
ENLARGED |= dict.fromkeys(("upscale_a_video", "upscale_lavie"), 8)  # by the toy autoencoder; their own does 4
X4 = {"ckpt_name": "x4-upscaler-ema.safetensors"}
SMALL = {
    "BasicScheduler": {"steps": 1},
    "CheckpointLoaderSimple": {"ckpt_name": "toy_sd.safetensors"},
    "KSampler": {"steps": 1},
    **{kind: {"width": SIDE, "height": SIDE} for kind in (*EMPTY, "ImageScale", "VLDM_LoadVideoFrames")},
    "ImageFromBatch": {"length": 4},
    "SV3D_Conditioning": {"width": SIDE, "height": SIDE, "video_frames": 5},
    "SVD_img2vid_Conditioning": {"width": SIDE, "height": SIDE, "video_frames": 3},
    "VLDM_TrainMotionLoRA": {
        "steps": 1,
        "looks_steps": 1,
        "num_frames": 3,
        "batch_size": 1,
        "memory": "fast",
    },
    "VLDM_TrainTemporalDecoder": {"steps": 1, "num_frames": 3, "crop": 32},
    "VLDM_TrainTemporalLayers": {"steps": 1, "num_frames": 3, "batch_size": 1, "memory": "fast"},
    "VLDM_VideoDataset": {"width": SIDE, "height": SIDE},
    "VLDM_VideoKSampler": {"steps": 1},
    "VLDM_VideoUpscaleDiffusion": {"steps": 1},
    "VLDM_LatentInterpolate": {"steps": 1},
    "VLDM_ExtendVideo": {"steps": 1, "segment_length": 5},
    "VLDM_LoadVideoUpscaler": {"steps": 1},
    "VLDM_VideoWindows": {"context_length": 6},
}
SHORT = {
    **dict.fromkeys(("animate_image_animatelcm", "animate_image_pia", "motion_lora", "sparse_control"), 5),
    "animatediff_svd_decoder": 5,
    **{name: FRAMES[name] for name in stand_ins.FAMILIES},
    "keyframes_to_113_frames": 3,
    "lavie": 3,
    "lavie_interpolation": {16: 2, 61: 5},
    "longer_than_trained": 9,
    "long_video": 5,
    "motion_director": 3,
    "seine": 3,
    "several_futures": 5,
    "text_to_video": 5,
    "train_motion_lora": 3,
    "train_temporal_layers": 3,
    "videocrafter": 3,
    "videocrafter_image": 3,
    "zeroscope": 3,
    "whole_cascade": 3,
}


def small(graph: dict, name: str) -> dict:
    """The graph at a size that takes a second."""
    for node in graph.values():
        own = X4 if node["inputs"].get("ckpt_name") == X4["ckpt_name"] else {}
        node["inputs"].update({**SMALL.get(node["class_type"], {}), **own})
        if node["class_type"] == "EmptyLatentImage" and name in SHORT:
            short, frames = SHORT[name], node["inputs"]["batch_size"]
            node["inputs"]["batch_size"] = short[frames] if isinstance(short, dict) else short
        if node["class_type"] == "VLDM_EmptyClip":
            node["inputs"]["seconds"] = SHORT[name] / node["inputs"]["fps"]
    return graph


@pytest.fixture(scope="module")
def files(host):
    """Under the names in the graphs: the picture that ComfyUI brings, a short video, a textual inversion."""
    from comfy_api.latest import InputImpl, Types

    folder = host.base / "input"
    folder.mkdir(exist_ok=True)
    frames = torch.rand(FRAMES["video_to_video"], 48, 80, 3, generator=torch.Generator().manual_seed(0))
    Image.fromarray((255 * frames[0]).numpy().astype(np.uint8)).save(folder / "example.png")
    components = Types.VideoComponents(images=frames, frame_rate=Fraction(8))
    InputImpl.VideoFromComponents(components).save_to(str(folder / "clip.mp4"))
    (folder / "my_clips").mkdir()
    for name in "ab":
        shutil.copy(folder / "clip.mp4", folder / "my_clips" / f"{name}.mp4")
        (folder / "my_clips" / f"{name}.txt").write_text("a red circle")
    stand_ins.write_embedding(host.base / EMBEDDING)


@pytest.fixture
def read(host, node_info, files, monkeypatch):
    """A graph of `workflows/`, small, with tiny files under the names in it.

    Nodes of some types switched on.
    """

    def read(path, *switched_on):
        workflow = json.loads(path.read_text("utf-8"))
        for node in workflow["nodes"]:
            if node["type"] in switched_on:
                node["mode"] = ALWAYS
        graph = small(to_api(workflow, node_info), path.stem)
        stand_ins.put(host.base / "models", graph, path.stem)
        if path.stem in stand_ins.FAMILIES:
            bases = stand_ins.bases(path.stem, host.pack("temporal.formats"))
            monkeypatch.setattr(host.pack("temporal.formats.motion_modules"), "BASES", bases)
        return graph

    return read


@pytest.fixture(scope="module")
def video_models(host):
    """Tiny video models under the names in the graphs, beside the toy text encoder and VAE."""
    import comfy.supported_models as supported

    models = host.base / "models"
    toy = (models / "checkpoints" / "toy_sd.safetensors").resolve()
    (models / "checkpoints" / "v2-1_512-ema-pruned.safetensors").symlink_to(toy)
    folder = models / "diffusion_models"
    folder.mkdir(exist_ok=True)
    unet = video_rig.modelscope(text=TOY_TEXT)
    save_file(video_rig.modelscope_as_published(unet), folder / "zeroscope_v2_576w.safetensors")
    (models / "motion_lora").mkdir(exist_ok=True)
    torch.save(matrices_for(unet), models / "motion_lora" / "motiondirector_bicycle.pt")
    weights = video_rig.videocrafter_as_published(unet, video_rig.frame_rate_weights(), convs=True)
    torch.save({"state_dict": weights}, folder / "videocrafter2.ckpt")
    picture = {
        "features": toy_checkpoints.PICTURE["hidden_size"],
        "tokens": 3,
        "width": 16,
        "heads": 2,
        "depth": 1,
    }
    weights |= video_rig.videocrafter_as_published(unet, video_rig.add_picture_attention(unet)[1], convs=True)
    projector = video_rig.projector_weights(**picture, text=TOY_TEXT)
    weights |= {f"image_proj_model.{key}": weight for key, weight in projector.items()}
    torch.save({"state_dict": weights}, folder / "videocrafter1_i2v.ckpt")
    shape = video_rig.tiny_shape(host.pack("temporal.stack.plan"), text=TOY_TEXT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(supported, "models", [*supported.models, *video_rig.tiny_kinds(text=TOY_TEXT)])
        patch.setattr(host.pack("temporal.formats.lvdm"), "SHAPE", shape)
        video_rig.narrow_projector(patch, host.pack("temporal.formats"), picture)
        yield


@pytest.fixture(scope="module")
def lavie_models(host, video_models):
    """Files of LaVie and its relatives, which read text as SD 1.x does."""
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
def checkpoints(host, lavie_models):
    """Stable Video Diffusion, SV3D, the x4 upscaler with layers of two families, and an image encoder."""
    models, svd = host.base / "models", host.pack("temporal.formats.svd")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(svd, "SHAPE", video_rig.tiny_shape(host.pack("temporal.stack.plan"), text=TOY_TEXT))
        toy_checkpoints.tell_host(patch, models, TOY_TEXT)
        names = {other: own for own, other in svd.svd_names().items()}
        toy_checkpoints.write_svd(models / "checkpoints" / "svd_xt.safetensors", names, TOY_TEXT)
        orbit = models / "checkpoints" / "sv3d_p.safetensors"
        place = "conditioner.embedders.1.encoder."
        toy_checkpoints.write_svd(orbit, names, TOY_TEXT, label=1280, vae=place)
        toy_checkpoints.write_x4(models / "checkpoints" / X4["ckpt_name"])
        (models / "clip_vision").mkdir(exist_ok=True)
        vision = models / "clip_vision" / "CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"
        save_file(toy_checkpoints.picture_weights(TOY_TEXT), vision)
        (models / "temporal_layers").mkdir(exist_ok=True)
        layers = {"lavie_vsr.pt": "lavie_vsr", "unet_video.bin": "upscale_a_video_unet"}
        for name, listing in layers.items():
            torch.save(lavie_rig.tiny_weights(listing), models / "temporal_layers" / name)
        yield


@pytest.fixture(scope="module")
def published(host):
    """Random files in published spellings, at the size of the toy model, under the names in the graphs."""
    from .families import toy_families

    with toy_families.published(host):
        yield


def last_frames(graph: dict, run) -> torch.Tensor:
    """The enlarged or decoded frames, or those of the film where they were never held."""
    ends = {node["class_type"]: key for key, node in graph.items()}
    if "VLDM_RenderVideo" in ends:
        return run.outputs[ends["VLDM_RenderVideo"]][0].get_components().images
    return run.outputs[ends.get("VLDM_VideoUpscale") or ends["VLDM_TemporalVAEDecode"]][0]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_runs(host, read, checkpoints, published, path):
    graph = read(path)
    run = host.run(graph)
    frames = last_frames(graph, run)
    side = SIDE * ENLARGED.get(path.stem, 1)
    assert frames.shape == (FRAMES[path.stem], side, side, 3)
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


def test_a_lora_counts_once_it_is_switched_on(host, read):
    path = WORKFLOWS[0].with_name("personalised_model.json")
    graphs = read(path), read(path, "LoraLoader")
    off, on = (last_frames(graph, host.run(graph)) for graph in graphs)
    assert off.shape == on.shape and not torch.equal(off, on)


def test_the_prompt_of_a_textual_inversion_is_read_with_its_file(host, read):
    graph = read(WORKFLOWS[0].with_name("textual_inversion.json"))
    clip = host.call("CheckpointLoaderSimple", **node_of_type(graph, "CheckpointLoaderSimple"))[1]

    def encoded():
        return host.call("CLIPTextEncode", clip=clip, text=node_titled(graph, "Prompt")["text"])[0][0][0]

    learned = encoded()
    (host.base / EMBEDDING).unlink()
    ignored = encoded()
    stand_ins.write_embedding(host.base / EMBEDDING)
    assert learned.shape == ignored.shape and not torch.equal(learned, ignored)


def test_every_future_becomes_a_file(host, read):
    graph = read(WORKFLOWS[0].with_name("several_futures.json"))
    save = next(key for key, node in graph.items() if node["class_type"] == "SaveVideo")
    assert len(host.run(graph).shown[save]["images"]) == 3


def orbit_of(host, graph: dict, low: float, high: float) -> torch.Tensor:
    """Latents of the views under guidance from `low` at the given view to `high` at its back."""
    node_of_type(graph, "VideoTriangleCFGGuidance")["min_cfg"] = low
    node_of_type(graph, "VLDM_VideoKSampler").update(cfg=high, cfg_last_frame=high, seed=1)
    sampler = next(key for key, node in graph.items() if node["class_type"] == "VLDM_VideoKSampler")
    return host.run(graph).outputs[sampler][0]["samples"]


def test_an_orbit_is_told_its_views_and_guided_most_at_the_back(host, read, checkpoints, monkeypatch):
    import comfy.model_base

    graph, told = read(WORKFLOWS[0].with_name("orbit.json")), []
    encode = comfy.model_base.SV3D_p.encode_adm

    def kept(self, **kwargs):
        told.append(encode(self, **kwargs))
        return told[-1]

    monkeypatch.setattr(comfy.model_base.SV3D_p, "encode_adm", kept)
    views = orbit_of(host, graph, 1.0, 4.0)
    assert told[0].shape == (5, 1280) and torch.allclose(told[0][0], told[0][-1])  # once around
    assert len(torch.unique(told[0][:-1].round(decimals=4), dim=0)) == 4
    weak, strong = orbit_of(host, graph, 1.0, 1.0), orbit_of(host, graph, 4.0, 4.0)
    far = (strong - weak).abs().mean()
    away = [[float((views[n] - other[n]).abs().mean() / far) for other in (weak, strong)] for n in range(5)]
    # weak at both ends, strong at the back
    assert away[0][0] < 0.02 and away[4][0] < 0.02 and away[2][1] < 0.02
    assert min(away[1] + away[3]) > 0.2
    node_of_type(graph, "SV3D_Conditioning")["elevation"] = 40.0
    assert (orbit_of(host, graph, 1.0, 4.0) - views).abs().mean() > 0.001 * far


def test_what_is_transparent_in_the_picture_of_an_orbit_is_white(host, read, checkpoints):
    graph = read(WORKFLOWS[0].with_name("orbit.json"))
    picture = Image.new("RGBA", (64, 64), (200, 30, 30, 0))
    picture.paste((200, 30, 30, 255), (16, 16, 48, 48))
    picture.save(host.base / "input" / "cut_out.png")
    node_of_type(graph, "LoadImage")["image"] = "cut_out.png"
    placed = next(key for key, node in graph.items() if node["class_type"] == "ImageCompositeMasked")
    seen = host.run(graph).outputs[placed][0][0]
    assert seen[:12].min() == 1 and torch.allclose(seen[32, 32], torch.tensor([200, 30, 30]) / 255, atol=0.01)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_it_can_be_read(path):
    """Titled groups from left to right, and a note that says which file goes where."""
    workflow = json.loads(path.read_text("utf-8"))
    left = [group["bounding"][0] for group in workflow["groups"]]
    assert left == sorted(left) and all(group["title"] for group in workflow["groups"])
    notes = [node["widgets_values"][0] for node in workflow["nodes"] if node["type"] in NOTES]
    folders = ("models/temporal_layers", "models/diffusion_models", "models/temporal_decoders")
    assert any("models/checkpoints" in note and any(folder in note for folder in folders) for note in notes)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_files_to_fetch_are_those_that_the_nodes_name(path, host):
    """The page offers what stands in `properties.models`, into the folder that the node reads."""
    import folder_paths

    for node in json.loads(path.read_text("utf-8"))["nodes"]:
        for model in node.get("properties", {}).get("models", ()):
            assert model["name"] == node["widgets_values"][0]
            assert model["directory"] in folder_paths.folder_names_and_paths
            url = model["url"]
            assert url.startswith("https://huggingface.co/") and url.endswith(
                f"/resolve/main/{model['name']}"
            )


def test_most_published_files_can_be_fetched_from_the_page():
    offered, named = 0, 0
    for path in WORKFLOWS:
        for node in json.loads(path.read_text("utf-8"))["nodes"]:
            values = node.get("widgets_values") or [""]
            if str(values[0]).endswith((".safetensors", ".ckpt", ".pt", ".bin")) and "toy" not in values[0]:
                named, offered = named + 1, offered + ("models" in node["properties"])
    assert offered / named > 0.6
