"""The bundled layers for frames in between find the way (benchmarks/toy_world/interpolation.py)."""

from __future__ import annotations

import pytest
from video_ldm.benchmarks.toy_world import interpolation

SETTINGS = {
    "file": "toy_between.safetensors",
    "per_kind": 1,
    "kinds": ["turning"],
    "fps": 16.0,
    "steps": 5,
    "cfg": 1.0,
    "pinned_denoise": 0.6,
    "context_guidance": 1.0,
    "learned_denoise": 1.0,
    "hold_still": 0.35,
    "sheet": None,
}


@pytest.mark.slow
def test_frames_in_between_follow_an_arc(monkeypatch):
    monkeypatch.setattr(interpolation, "METHODS", ("learned", "slerp"))
    (clip,) = interpolation.run(SETTINGS)
    assert clip["learned"]["moving"] < 0.3 * clip["slerp"]["moving"]
    assert clip["learned"]["object"] < 0.5 * clip["slerp"]["object"]
    assert clip["learned"]["place"] < 0.6 * clip["slerp"]["place"]
