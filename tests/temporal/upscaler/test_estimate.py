"""Estimates before enlarging are what it takes."""

from __future__ import annotations

from dataclasses import replace

from video_ldm.temporal.upscaler import UpscaleSettings
from video_ldm.temporal.upscaler.estimate import upscale_needs
from video_ldm.tests.temporal.upscaler.tiny import TINY

SETTINGS = UpscaleSettings(steps=3, overlap=1, tile=20)


def test_only_the_result_grows_with_the_clip():
    short, long = (upscale_needs(TINY, SETTINGS, count, 320, 512) for count in (32, 2048))
    assert (short.work, short.device) == (long.work, long.device)
    assert long.result == 64 * short.result == 2048 * 1280 * 2048 * 3 * 4


def test_smaller_tiles_need_less_of_the_device():
    sizes = [
        upscale_needs(TINY, replace(SETTINGS, tile=tile), 8, 320, 512).device for tile in (64, 128, 256, 0)
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] / 4
