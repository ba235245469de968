"""Opening a file of layers does not keep two copies of it (benchmarks/loading.py measures the published size)."""

from dataclasses import replace

import pytest
from video_ldm.benchmarks import loading
from video_ldm.temporal.formats import load_stack, motion_modules
from video_ldm.temporal.plan import SD1

from ...memory import Peak


@pytest.mark.parametrize("kind", loading.KINDS)
def test_the_peak_is_at_most_1_3_times_the_file(tmp_path, monkeypatch, kind):
    path = tmp_path / f"layers.{kind}"
    for channels in (32, 128):  # what PyTorch loads on first use is not the file's
        unet = replace(SD1, model_channels=channels)
        monkeypatch.setattr(motion_modules, "BASES", {4: ("SD 1.x", unet)})
        path.unlink(missing_ok=True)
        loading.write(path, unet)
        peak = Peak()
        stack = load_stack(path)
        highest = peak.bytes()
    assert stack.config.unet == unet
    assert 0.9 < highest / path.stat().st_size < loading.AIM
