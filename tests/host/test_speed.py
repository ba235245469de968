"""Speed of a clip: that of its source goes along, and another one is said on the node."""

from __future__ import annotations

import json

import pytest
import torch

RATE = 30.0


@pytest.fixture
def speed(host, tmp_path):
    """The module, with a film of 30 frames per second in the host's input folder."""
    from video_ldm.nodes.host import speed
    from video_ldm.temporal.video import Film, FilmWriter

    path = host.base / "input" / "thirty.mp4"
    if not path.exists():
        with FilmWriter(path, Film("mp4 (H.264)", RATE)) as writer:
            writer.write(torch.rand(4, 64, 64, 3, generator=torch.Generator().manual_seed(0)))
    return speed


def graph(**last):
    """Load Video, its frames, VAE Encode, and a last node."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "toy_sd.safetensors"}},
        "2": {"class_type": "LoadVideo", "inputs": {"file": "thirty.mp4"}},
        "3": {"class_type": "GetVideoComponents", "inputs": {"video": ["2", 0]}},
        "4": {"class_type": "VAEEncode", "inputs": {"pixels": ["3", 0], "vae": ["1", 2]}},
        "5": last,
    }


def origin(last):
    from comfy_execution.graph import DynamicPrompt
    from video_ldm.nodes.host.graph import ancestors

    names = ("latent_image", "samples", "images")
    found = ancestors(DynamicPrompt(last), "5", names)
    return {name: value for name, value in found.items() if value is not None}


def test_a_clip_keeps_the_speed_of_its_film(speed):
    above = origin(graph(class_type="VLDM_VideoKSampler", inputs={"latent_image": ["4", 0]}))
    assert speed.speed_of(0.0, {}, above) == speed.Speed(RATE, "30 fps, as thirty.mp4 has.")
    assert speed.speed_of(30.0, {}, above) == speed.Speed(RATE)
    latent, said = speed.carrying({"samples": torch.zeros(4, 4, 8, 8)}, above)
    assert latent["video_ldm_fps"] == RATE and said == "30 fps, as thirty.mp4 has."


def test_another_speed_is_said(speed):
    above = origin(graph(class_type="VLDM_VideoKSampler", inputs={"latent_image": ["4", 0]}))
    slow = speed.speed_of(8.0, {}, above)
    assert slow.fps == 8.0 and "thirty.mp4 has 30: it will play 3.8 times as slow; 0 keeps" in slow.said
    fast = speed.speed_of(24.0, {"video_ldm_fps": 12.0}, {})
    assert fast.fps == 24.0 and "the given clip has 12: it will play 2 times as fast" in fast.said


def test_what_a_latent_carries_comes_before_its_film(speed):
    above = origin(graph(class_type="VLDM_VideoKSampler", inputs={"latent_image": ["4", 0]}))
    assert speed.speed_of(0.0, {"video_ldm_fps": 12.0}, above) == speed.Speed(12.0)
    assert speed.carrying({"video_ldm_fps": 12.0}, above) == ({"video_ldm_fps": 12.0}, "")


@pytest.mark.parametrize("case", ["nothing", "a still of it", "two films", "a film that is gone", "no film"])
def test_no_speed_is_made_up(speed, host, case):
    nodes = graph(class_type="VLDM_VideoKSampler", inputs={"latent_image": ["4", 0]})
    if case == "nothing":
        nodes["4"] = {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64}}
    if case == "a still of it":
        nodes["4"] = {"class_type": "VLDM_KnownFrames", "inputs": {"images": ["3", 0], "latent": ["6", 0]}}
        nodes["6"] = {"class_type": "EmptyLatentImage", "inputs": {}}
    if case == "two films":
        nodes["6"] = {"class_type": "LoadVideo", "inputs": {"file": "other.mp4"}}
        nodes["3"] = {"class_type": "ImageBatch", "inputs": {"image": ["2", 0], "images": ["6", 0]}}
    if case == "a film that is gone":
        nodes["2"]["inputs"]["file"] = "gone.mp4"
    if case == "no film":
        (host.base / "input" / "text.mp4").write_text("no film")
        nodes["2"]["inputs"]["file"] = "text.mp4"
    assert speed.speed_of(0.0, {}, origin(nodes)) == speed.Speed(speed.USUAL)


def test_video_to_video_is_written_at_the_speed_of_the_film(speed, host, tmp_path, monkeypatch):
    """The whole graph: 30 frames per second in, 30 out, and the node says where it has them from."""
    import av
    import folder_paths
    from server import PromptServer

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    said = []
    monkeypatch.setattr(PromptServer.instance, "send_progress_text", lambda text, node: said.append(text))
    sampler = {"seed": 1, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal"}
    clip = {"denoise": 0.5, "cfg_last_frame": 0.0, "noise_type": "independent", "noise_correlation": 0.5}
    nodes = graph(
        class_type="VLDM_VideoKSampler",
        inputs={
            **{"model": ["1", 0], "positive": ["6", 0], "negative": ["6", 0], "latent_image": ["4", 0]},
            **{**sampler, **clip, "fps": 0.0},
        },
    )
    nodes["6"] = {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": ""}}
    film = {"format": "mp4 (H.264)", "quality": 80, "fps": 0.0, "filename_prefix": "film"}
    nodes["7"] = {
        "class_type": "VLDM_RenderVideo",
        "inputs": {"samples": ["5", 0], "vae": ["1", 2], **film},
    }
    nodes["8"] = {
        "class_type": "VLDM_RenderVideo",
        "inputs": {"images": ["3", 0], **film, "filename_prefix": "direct"},
    }
    run = host.run(json.loads(json.dumps(nodes)))
    assert any("30 fps, as thirty.mp4 has." in text for text in said)
    assert run.shown["8"]["text"][0].endswith("30 fps, as thirty.mp4 has.")
    for path in sorted(tmp_path.iterdir()):
        with av.open(str(path)) as written:
            assert written.streams.video[0].average_rate == 30, path
    assert len(list(tmp_path.iterdir())) == 2
