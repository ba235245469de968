"""One page of the booted host for all browser tests. Machines without Chromium skip them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from video_ldm.demo import browser, pictures
from video_ldm.tests.host.test_workflows import WORKFLOWS

FOLDERS = {
    "CLIPVisionLoader": "clip_vision",
    "CheckpointLoaderSimple": "checkpoints",
    "GLIGENLoader": "gligen",
    "ImageOnlyCheckpointLoader": "checkpoints",
    "LoraLoaderModelOnly": "loras",
    "VLDM_LoadMotionLoRA": "motion_lora",
    "VLDM_LoadSparseControl": "controlnet",
    "VLDM_LoadTemporalDecoder": "temporal_decoders",
    "VLDM_LoadTemporalLayers": "temporal_layers",
    "VLDM_LoadVideoModel": "diffusion_models",
    "VLDM_LoadVideoUpscaler": "video_upscalers",
}


def named_files(models: Path) -> Iterator[Path]:
    """Files that the graphs name; the bypassed LoRA is missing, as at an artist's."""
    for path in WORKFLOWS:
        for node in json.loads(path.read_text("utf-8"))["nodes"]:
            if node["type"] in FOLDERS:
                yield models / FOLDERS[node["type"]] / node["widgets_values"][0]


@pytest.fixture(scope="package")
def files(host) -> Iterator[None]:
    """Every file that the graphs name: real ones for the toy world, empty ones for published weights."""
    pictures.put_sources(host.base / "input")
    models = host.base / "models"
    made = [path for path in set(named_files(models)) if not path.exists()]
    for path in made:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    yield
    for path in made:
        path.unlink()


@pytest.fixture(scope="package")
def editor(host, files):
    """The page, in a fresh browser."""
    if browser.executable() is None:
        pytest.skip(f"no Chromium on this machine (looked for {', '.join(browser.NAMES)})")
    with browser.open_editor(host.client) as editor:
        yield editor
