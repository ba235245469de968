"""Load Video Model keeps one copy of the weights: those in the file, which is mapped."""

from __future__ import annotations

import ctypes
import gc
import os
import sys

import pytest
from safetensors.torch import save_file
from video_ldm.tests.memory import Peak

from . import video_rig as rig

AIM = 1.3  # peak of memory, in sizes of the file
CHANNELS = int(os.environ.get("VLDM_LOADING_CHANNELS", "96"))


def tell_host(patch, channels):
    """ModelScope so wide, in the reference, in our formats and in the host."""
    import comfy.supported_models as supported
    from video_ldm.temporal.formats import lvdm
    from video_ldm.temporal.stack import plan

    patch.setattr(rig, "CHANNELS", (channels, 2 * channels, 2 * channels, 2 * channels))
    patch.setattr(supported, "models", [*supported.models, *rig.tiny_kinds()])
    patch.setattr(lvdm, "SHAPE", rig.tiny_shape(plan))


def give_back():
    """Give freed memory to the system, or later allocations would fill it unseen."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)


@pytest.mark.parametrize("spelling", ["original", "diffusers"])
def test_opening_takes_little_more_than_the_file(host, monkeypatch, spelling):
    from video_ldm.nodes.host.layers.attached.settings import LayerSettings
    from video_ldm.nodes.host.layers.video_model import build_video_model, read_video_model

    path = host.base / "models" / "diffusion_models" / "memory_under_test.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        for channels in (32, CHANNELS):
            tell_host(monkeypatch, channels)
            unet = rig.modelscope()
            weights = rig.modelscope_as_published(unet) if spelling == "original" else unet.state_dict()
            path.unlink(missing_ok=True)
            save_file({key: value.contiguous() for key, value in weights.items()}, path)
            del unet, weights
            give_back()
            peak = Peak()
            video, _ = read_video_model(path.name)
            model = build_video_model(path.name, video, LayerSettings())
            share = peak.bytes() / path.stat().st_size
            assert model.model.diffusion_model is not None
        assert share < AIM
    finally:
        path.unlink(missing_ok=True)
