"""A clip, its frames, and an output folder of a test's own."""

from __future__ import annotations

import pytest
import torch

from .film_sizes import FPS, FRAMES, HEIGHT, WIDTH


@pytest.fixture(scope="module")
def latent():
    samples = torch.randn(FRAMES, 4, HEIGHT // 8, WIDTH // 8, generator=torch.Generator().manual_seed(0))
    return {"samples": samples, "video_ldm_fps": FPS}


@pytest.fixture(scope="module")
def decoded(rig, latent):
    with torch.inference_mode():
        return rig.vae.decode(latent["samples"])


@pytest.fixture
def output(host, tmp_path, monkeypatch):
    """An output folder of this test's own."""
    import folder_paths

    folder = tmp_path / "output"
    folder.mkdir()
    monkeypatch.setattr(folder_paths, "output_directory", str(folder))
    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path / "temp"))
    return folder
