"""Pictures and words of nodes at work and at the end: strips, words, contact sheets, curves."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
import torch
from einops import rearrange
from PIL import Image

from . import stand_ins, toy_checkpoints
from .families import lavie_rig
from .layers.test_plugging import FRAMES, SIDE, clip_graph


@pytest.fixture
def watched(host, monkeypatch):
    """Runs a graph with previews on: previews by node, and what nodes said."""
    import comfy.utils
    from comfy.cli_args import LatentPreviewMethod, args
    from comfy_execution.utils import get_executing_context
    from server import PromptServer

    previews, said = {}, []

    def hook(value, total, preview, node_id=None):
        if preview is not None:
            previews.setdefault(get_executing_context().node_id, []).append(preview[1])

    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", hook)
    monkeypatch.setattr(args, "preview_method", LatentPreviewMethod.Latent2RGB)
    monkeypatch.setattr(host.pack("nodes.host.progress"), "PAUSE", -1.0)
    monkeypatch.setattr(host.pack("nodes.host.preview"), "SHARE", float("inf"))
    monkeypatch.setattr(PromptServer.instance, "send_progress_text", lambda text, node: said.append(text))

    def run(graph):
        return host.run(graph), previews, said

    return run


@pytest.fixture
def tiny_upscaler(host):
    """Name of a pixel-space upscaler of random weights."""
    path = host.base / "models" / "video_upscalers" / "shown.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    stand_ins.write_upscaler(path)
    yield path.name
    path.unlink()


@pytest.fixture
def tiny_x4(host, monkeypatch):
    """Name of an SD x4 upscaler of random weights, with its text encoder."""
    models, text = host.base / "models", 48
    lavie_rig.tell_host(monkeypatch, host.pack("temporal.formats"), text=text)
    toy_checkpoints.tell_host(monkeypatch, models, text)
    path = models / "checkpoints" / "shown_x4.safetensors"
    toy_checkpoints.write_x4(path)
    yield path.name
    path.unlink()


def temp(host, file):
    return Image.open(host.base / "temp" / file["subfolder"] / file["filename"])


def frames_of(previews, node):
    return {len(getattr(picture, "frames", [picture])) for picture in previews[node]}


def assert_large(strip):
    """A strip moves in the page, and can be seen."""
    file = io.BytesIO()
    strip.save(file, format="PNG", quality=95, compress_level=1)
    with Image.open(file) as sent:
        assert sent.n_frames == len(strip.frames) and max(sent.size) >= 256


def assert_clip_above_sheet(host, files):
    """One picture, so that every page shows it: FRAMES frames, above all of them side by side."""
    [file] = files
    with temp(host, file) as moving:
        assert (moving.n_frames, moving.size) == (FRAMES, (512, 512 + round(512 / FRAMES)))
        shown = []
        for frame in range(FRAMES):
            moving.seek(frame)
            shown.append(torch.from_numpy(np.array(moving.convert("RGB"))).float())
    clips, sheets = (torch.stack(parts) for parts in zip(*(s.split(512) for s in shown), strict=True))
    assert (sheets - sheets[0]).abs().max() == 0
    assert min((a - b).abs().mean() for a, b in pairwise(clips)) > 1
    small = rearrange(sheets[0][:, : FRAMES * (512 // FRAMES)], "h (f w) c -> f h w c", f=FRAMES)[:, 20:90]
    stride = 512 // small.shape[2]
    large = clips[:, ::stride, ::stride][:, 20:90, : small.shape[2]]
    for number, cell in enumerate(small):
        apart = [(cell - frame[: len(cell)]).abs().mean() for frame in large]
        assert apart.index(min(apart)) == number


def before_remark(said: list[str], start: str) -> list[str]:
    """Lines that begin so, without what follows the time left: that these graphs have no temporal layers."""
    return [text.partition(". This MODEL")[0] for text in said if text.startswith(start)]


def test_sampling_and_decoding_move(host, watched):
    graph = clip_graph()
    graph["sample"]["inputs"] |= {"steps": 3}
    graph["decode"]["inputs"] |= {"chunk_length": 2}
    graph["show"] = {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}}
    run, previews, said = watched(graph)
    assert frames_of(previews, "sample") == {FRAMES}
    assert max(frames_of(previews, "decode")) == FRAMES
    for node in ("sample", "decode"):
        assert_large(next(picture for picture in previews[node] if hasattr(picture, "frames")))
    assert said[0].startswith("This MODEL has no temporal layers")
    steps = before_remark(said, "step")
    assert steps[0].startswith("step 1 of 3, ") and steps[0].endswith("left")
    assert any(text.startswith("frame 2 of 5, ") for text in said)
    assert_clip_above_sheet(host, run.shown["decode"]["images"])


def test_a_preview_of_latents_moves_without_a_vae_in_the_colours_of_the_sampler(host, watched):
    graph = clip_graph()
    graph["sample"]["inputs"] |= {"steps": 1}
    del graph["decode"]
    look = {"samples": ["sample", 0], "model": ["model", 0], "fps": 0.0}
    graph["look"] = {"class_type": "VLDM_PreviewClip", "inputs": look}
    run, previews, _ = watched(graph)
    assert_clip_above_sheet(host, run.shown["look"]["images"])
    with temp(host, run.shown["look"]["images"][0]) as moving:
        for number, strip in enumerate(previews["sample"][-1].frames):
            moving.seek(number)
            seen = np.array(moving.convert("RGB").crop((0, 0, 512, 512)).resize(strip.size)).astype(float)
            assert np.abs(seen - np.array(strip)).mean() < 15


def test_a_preview_of_frames_plays_at_the_speed_that_is_asked_for(host):
    shown, speed = (host.pack(f"nodes.host.{name}") for name in ("shown", "speed"))
    frames = torch.rand(3, 24, 48, 3, generator=torch.Generator().manual_seed(0))
    [file] = shown.shown_preview(None, frames, None, speed.Speed(4.0))["images"]
    with Image.open(host.base / "temp" / file.filename) as moving:
        assert (moving.n_frames, moving.size[0]) == (3, 512)
        moving.seek(1)
        moving.load()
        assert moving.info["duration"] == 250


def test_what_has_no_preview_is_refused(host):
    frames, latent = torch.rand(2, 8, 8, 3), {"samples": torch.zeros(2, 16, 4, 4)}
    for inputs, words in [
        ({}, "it was given none. Connect samples or images"),
        ({"samples": latent, "images": frames}, "it was given samples and images"),
        ({"samples": latent}, "no colours for latents of 16 channels like these. Connect the MODEL"),
    ]:
        with pytest.raises(ValueError, match=words):
            host.call("VLDM_PreviewClip", fps=0.0, **inputs)


def test_takes_stand_side_by_side_above_their_seeds_and_each_goes_on(host, watched):
    graph = clip_graph()
    graph["sample"]["inputs"] |= {"steps": 1, "seeds": "3, 5, 8"}
    graph["decode"]["inputs"] |= {"chunk_length": 2}
    graph["show"] = {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}}
    run, _, said = watched(graph)
    [sheet] = run.shown["sample"]["images"]
    with temp(host, sheet) as moving:
        assert (moving.n_frames, moving.size) == (FRAMES, (2 * 192, 2 * (192 + 14)))
        first = moving.convert("RGB")
        cells = [first.crop((x, y, x + 192, y + 192)).tobytes() for x, y in ((0, 0), (192, 0), (0, 206))]
        names = [first.crop((x, y, x + 192, y + 14)).tobytes() for x, y in ((0, 192), (192, 192), (0, 398))]
    assert len(set(cells)) == len(set(names)) == 3
    assert any("seed 5, step 1 of 1" in text for text in said)
    assert len(run.shown["show"]["images"]) == 3 * FRAMES
    graph["sample"]["inputs"] |= {"seed": 3, "seeds": ""}
    alone, takes = (result.outputs["sample"][0]["samples"] for result in (watched(graph)[0], run))
    assert torch.equal(alone, takes)


def test_custom_sampling_shows_every_frame_of_the_clip(watched):
    graph = clip_graph()
    del graph["sample"], graph["decode"]
    links = {"model": ["model", 0], "positive": ["text", 0], "negative": ["no", 0]}
    scales = {"cfg": 6.0, "cfg_last_frame": 2.0, "fps": 8.0}
    graph["guide"] = {"class_type": "VLDM_VideoGuider", "inputs": {**links, **scales}}
    graph["noise"] = {"class_type": "RandomNoise", "inputs": {"noise_seed": 1}}
    graph["euler"] = {"class_type": "KSamplerSelect", "inputs": {"sampler_name": "euler"}}
    steps = {"model": ["model", 0], "scheduler": "normal", "steps": 3, "denoise": 1.0}
    graph["steps"] = {"class_type": "BasicScheduler", "inputs": steps}
    parts = {"noise": "noise", "guider": "guide", "sampler": "euler", "sigmas": "steps"}
    graph["custom"] = {
        "class_type": "SamplerCustomAdvanced",
        "inputs": {**{name: [key, 0] for name, key in parts.items()}, "latent_image": ["empty", 0]},
    }
    graph["save"] = {"class_type": "SaveLatent", "inputs": {"samples": ["custom", 1], "filename_prefix": "x"}}
    run, previews, _ = watched(graph)
    moving = [picture for picture in previews["custom"] if hasattr(picture, "frames")]
    assert [len(picture.frames) for picture in moving] == [FRAMES] * 3
    assert hasattr(previews["custom"][-1], "frames")
    assert len(previews["custom"]) == 4
    assert "save" in run.outputs and run.outputs["guide"]
    [curve] = run.shown["guide"]["images"]
    assert curve["type"] == "temp"


def test_long_jobs_name_segments_passes_and_the_time_left(watched):
    graph = clip_graph()
    del graph["decode"]
    video = {"model": ["model", 0], "positive": ["text", 0], "negative": ["no", 0], "fps": 8.0}
    sampler = {"steps": 1, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal"}
    longer = {
        "segments": 2,
        "seconds": 0.0,
        "segment_length": 4,
        "context_frames": 2,
        "seeds": "1, 2",
        "folder": "shown",
    }
    graph["longer"] = {
        "class_type": "VLDM_ExtendVideo",
        "inputs": {"samples": ["sample", 0], **video, **sampler, **longer},
    }
    between = {"method": "pinned", "passes": 2, "loop": False, "cut_threshold": 2.0, "pinned_denoise": 0.6}
    graph["between"] = {
        "class_type": "VLDM_LatentInterpolate",
        "inputs": {"samples": ["sample", 0], "seed": 1, **video, **sampler, **between},
    }
    for name in ("longer", "between"):
        saved = {"samples": [name, 0], "filename_prefix": "x"}
        graph[f"save {name}"] = {"class_type": "SaveLatent", "inputs": saved}
    _, previews, said = watched(graph)
    assert frames_of(previews, "longer") == {4}
    assert frames_of(previews, "between") == {5}
    segments = before_remark(said, "segment")
    assert segments[0].startswith("segment 1 of 2, seed 1, step 1 of 1, ") and segments[0].endswith("left")
    assert segments[-1].startswith("segment 2 of 2, seed 2") and not segments[-1].endswith("left")
    passes = [text for text in said if text.startswith("pass")]
    assert passes[0].startswith("pass 1 of 2, pair 1 of 4") and passes[-1].startswith(
        "pass 2 of 2, pair 16 of 16"
    )


def test_enlarging_moves_and_ends_in_a_clip_and_a_contact_sheet(host, watched, tiny_upscaler):
    graph = clip_graph()
    quality = {"steps": 1, "noise_augmentation": 0.2, "seed": 5, "temporal_strength": 1.0}
    sizes = {"context_length": 0, "context_overlap": 1, "tile_size": 0}
    load = {"file": tiny_upscaler, **quality, **sizes}
    graph["load"] = {"class_type": "VLDM_LoadVideoUpscaler", "inputs": load}
    enlarge = {"images": ["decode", 0], "upscaler": ["load", 0]}
    graph["enlarge"] = {"class_type": "VLDM_VideoUpscale", "inputs": enlarge}
    graph["show"] = {"class_type": "PreviewImage", "inputs": {"images": ["enlarge", 0]}}
    run, previews, said = watched(graph)
    assert sorted(frames_of(previews, "enlarge")) == list(range(1, FRAMES + 1))
    assert {picture.size for picture in previews["enlarge"]} == {(4 * SIDE, 4 * SIDE)}
    assert any(text.startswith("frame 2 of 5, ") and text.endswith("left") for text in said)
    assert_clip_above_sheet(host, run.shown["enlarge"]["images"])
    [report] = run.shown["enlarge"]["text"]
    assert report.startswith("5 frames of 64 x 64 become 256 x 256") and said[-1] == report
    [loaded] = run.shown["load"]["text"]
    assert loaded in said and loaded.startswith("Video LDM upscaler (native file)") and "windows of" in loaded


def test_enlarging_with_a_prompt_shows_the_clip_at_every_step(watched, tiny_x4):
    graph = clip_graph()
    for name, output in (("yes", "a red circle"), ("no", "")):
        graph[f"x4 {name}"] = {"class_type": "CLIPTextEncode", "inputs": {"clip": ["x4", 1], "text": output}}
    graph["x4"] = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": tiny_x4}}
    given = {"model": ["x4", 0], "positive": ["x4 yes", 0], "negative": ["x4 no", 0], "images": ["decode", 0]}
    sampler = {"seed": 3, "steps": 3, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal", "fps": 8.0}
    sizes = {"context_length": 0, "context_overlap": 1, "tile_size": 0, "tile_overlap": 8}
    graph["enlarge"] = {
        "class_type": "VLDM_VideoUpscaleDiffusion",
        "inputs": {**given, **sampler, **sizes, "noise_augmentation": 0.1},
    }
    graph["save"] = {
        "class_type": "SaveLatent",
        "inputs": {"samples": ["enlarge", 0], "filename_prefix": "x"},
    }
    _, previews, said = watched(graph)
    assert [len(picture.frames) for picture in previews["enlarge"]] == [FRAMES] * 3
    assert any(text.startswith("step 2 of 3, ") and text.endswith("left") for text in said)


def test_a_prompt_schedule_shows_its_weights_as_curves(host):
    graph = clip_graph()
    schedule = {"prompts": "0: a red circle\n4: a blue circle", "num_frames": 5, "interpolation": "linear"}
    graph["text"] = {"class_type": "VLDM_PromptSchedule", "inputs": {"clip": ["model", 1], **schedule}}
    graph["show"] = {"class_type": "PreviewImage", "inputs": {"images": ["decode", 0]}}
    shown = host.run(graph).shown["text"]
    assert "a red circle" in shown["text"][0]
    with temp(host, shown["images"][0]) as picture:
        assert len(picture.getcolors(10_000)) > 4


def test_curves_go_where_the_numbers_are(host):
    from video_ldm.nodes.host.shown import COLOURS, MARGIN, draw_curves

    picture = draw_curves({"rising": [0.0, 1.0], "falling": [1.0, 0.0]}, "frame")
    first = tuple(int(COLOURS[0][i : i + 2], 16) for i in (1, 3, 5))
    columns = {2 * MARGIN + 10: [], 430: []}
    for x, rows in columns.items():
        rows += [y for y in range(200) if picture.getpixel((x, y)) == first]
    left, right = columns.values()
    assert min(left) > 150 and max(right) < 50


def test_previews_take_no_more_than_their_share(host, monkeypatch):
    from video_ldm.nodes.host import preview

    now = [100.0]
    monkeypatch.setattr(preview.time, "monotonic", lambda: now[0])
    pace, made = preview.Pace(), 0
    for _ in range(1000):
        now[0] += 1.0
        if pace.is_due():
            made += 1
            started = now[0]
            now[0] += 0.5
            pace.made(started)
    assert 0.5 * made <= (preview.SHARE + 0.001) * (now[0] - 100)
    assert made > 20


def test_a_contact_sheet_reaches_from_the_first_frame_to_the_last(host):
    from video_ldm.nodes.host.shown import clip_sheet

    frames = torch.linspace(0, 1, 40).reshape(-1, 1, 1, 1).expand(-1, 32, 32, 3)
    sheet = clip_sheet(frames)
    assert sheet.size == (8 * 32, 2 * 32)
    assert sheet.getpixel((30, 30)) == (0, 0, 0) and sheet.getpixel((254, 62)) == (255, 255, 255)
    assert clip_sheet(frames[:1]).size == (32, 32)
