"""The demo's own parts: file names, contact sheet, a server that does not start."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import imageio_ffmpeg
import pytest
from PIL import Image
from video_ldm.demo import comfy, film
from video_ldm.demo.graphs import node_of_type, node_titled, to_api


@pytest.mark.parametrize(
    ("out", "path"),
    [("out", "out/a_red_circle_3.mp4"), ("some/clip.mp4", "some/clip.mp4")],
)
def test_where_the_clip_goes(out, path):
    assert film.film_path(Path(out), "A red, circle!", 3) == Path(path)


def test_the_contact_sheet_shows_every_frame_in_order(tmp_path):
    clip = tmp_path / "clip.mp4"
    writer = imageio_ffmpeg.write_frames(str(clip), (32, 16), fps=8, macro_block_size=16)
    writer.send(None)
    for shade in (20, 70, 120, 170, 220):
        writer.send(bytes([shade]) * (32 * 16 * 3))
    writer.close()
    sheet = Image.open(film.contact_sheet(clip)).convert("L")
    assert sheet.size == (4 * 32, 2 * 16)
    shades = [sheet.getpixel((32 * (n % 4) + 16, 16 * (n // 4) + 8)) for n in range(5)]
    assert shades == pytest.approx([20, 70, 120, 170, 220], abs=8)


@pytest.mark.slow
def test_a_long_clip_is_shown_by_evenly_spread_frames(tmp_path):
    clip = tmp_path / "clip.mp4"
    writer = imageio_ffmpeg.write_frames(str(clip), (512, 256), fps=8, macro_block_size=16)
    writer.send(None)
    for number in range(113):
        writer.send(bytes([2 * number]) * (512 * 256 * 3))
    writer.close()
    sheet = Image.open(film.contact_sheet(clip)).convert("L")
    assert sheet.size == (4 * 256, 8 * 128)
    shades = [sheet.getpixel((256 * (n % 4) + 128, 128 * (n // 4) + 64)) for n in range(32)]
    assert shades == pytest.approx([2 * n * 112 / 31 for n in range(32)], abs=8)


@pytest.mark.parametrize("workflow", [film.WORKFLOW, film.CASCADE], ids=lambda path: path.stem)
def test_options_reach_the_workflow(node_info, workflow):
    graph = to_api(json.loads(workflow.read_text("utf-8")), node_info)
    untouched = film.adapt(copy.deepcopy(graph), film.parse([]))
    assert untouched == graph
    words = ["--prompt", "a blue square", "--seed", "5", "--frames", "12", "--steps", "3"]
    adapted = film.adapt(graph, film.parse(words))
    assert node_titled(adapted, "Prompt")["text"] == "a blue square"
    if workflow == film.WORKFLOW:
        clip = node_of_type(adapted, "VLDM_EmptyClip")
        assert clip["seconds"] * clip["fps"] == 12
    else:
        assert node_of_type(adapted, "EmptyLatentImage")["batch_size"] == 12
    sampler = node_of_type(adapted, film.SAMPLER)
    assert (sampler["seed"], sampler["steps"]) == (5, 3)


def test_a_toy_model_that_is_not_there_is_done_without(node_info, tmp_path, monkeypatch, capsys):
    graph = to_api(json.loads(film.CASCADE.read_text("utf-8")), node_info)
    monkeypatch.setattr(film, "DEMO", tmp_path)
    (tmp_path / "models").mkdir()
    poorer = film.with_bundled_models(graph)
    assert {node["class_type"] for node in graph.values()} - {
        node["class_type"] for node in poorer.values()
    } == set(film.OPTIONAL)
    ends = node_of_type(poorer, "VLDM_RenderVideo")
    assert "upscaler" not in ends and poorer[ends["vae"][0]]["class_type"] == "CheckpointLoaderSimple"
    assert "demo/models holds no toy_upscaler.safetensors" in capsys.readouterr().out
    for name in ("toy_decoder", "toy_upscaler"):
        (tmp_path / "models" / f"{name}.safetensors").touch()
    assert film.with_bundled_models(graph) == graph


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A folder that poses as ComfyUI; its main.py is up to the test."""
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path))
    return tmp_path / "main.py"


def test_a_server_that_dies_is_quoted_and_cleared_away(stand_in):
    stand_in.write_text("raise SystemExit('a package is missing')")
    server = comfy.Host()
    with pytest.raises(comfy.HostError, match="a package is missing"), server:
        pass
    assert not server.base.exists()


@pytest.mark.slow
def test_a_server_that_hangs_is_stopped(stand_in):
    stand_in.write_text("import time; print('thinking', flush=True); time.sleep(600)")
    server = comfy.Host(patience=1)
    with pytest.raises(comfy.HostError, match=r"did not start in 1 s[\s\S]*thinking"), server:
        pass
    assert server.process.poll() is not None
    assert not server.base.exists()


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGTERM to catch")
def test_a_killed_program_leaves_no_server_behind(stand_in, tmp_path):
    stand_in.write_text("import os, time; print(os.getpid(), flush=True); time.sleep(600)")
    program = (
        "import sys; from video_ldm.demo.comfy import Host; h = Host(); print(h.base, flush=True); "
        "h.__enter__()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as user:
        base = Path(user.stdout.readline().strip())
        while not (log := base / "comfyui.log").is_file() or not log.read_text():
            time.sleep(0.1)
        server = int(log.read_text())
        user.terminate()
        assert user.wait(30) == 128 + signal.SIGTERM
    assert not base.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(server, 0)
