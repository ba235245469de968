"""What is said before a clip is made is what it takes, on every device."""

# ruff: noqa: F811 (the fixtures of another file)

from __future__ import annotations

import pytest
import torch

from .test_render import Doubling, latent, output, render, rig  # noqa: F401

CPU, OTHER = torch.device("cpu"), torch.device("meta")


class Elsewhere(Doubling):
    """An upscaler that computes on a device of its own."""

    load_device = OTHER


def test_every_device_is_compared_with_its_own_memory(host, rig, latent, output, monkeypatch, caplog):
    import comfy.model_management as mm

    there = {CPU: 2**40, OTHER: 2**31}
    for asked in ("get_total_memory", "get_free_memory"):
        monkeypatch.setattr(mm, asked, lambda device=CPU, **_options: there[device])
    caplog.set_level("INFO")
    small, large = Elsewhere(), Elsewhere()
    large.device = 2**32
    render(host, samples=latent, vae=rig.vae, upscaler=small, format="png sequence (8 bit)")
    said = next(record.message for record in caplog.records if "Rendering" in record.message)
    assert "about 1.0 GB of memory on meta (2.0 GB free)" in said and "of memory (1024.0 GB free)" in said
    with pytest.raises(
        ValueError, match=r"at least 4\.0 GB of memory at once, and meta has 2\.0 GB in all.*tile_size"
    ):
        render(host, samples=latent, vae=rig.vae, upscaler=large)
    assert len(list(output.iterdir())) == 1
