"""The benchmark of long rollouts looks at parts of a clip without decoding the rest."""

from __future__ import annotations

import numpy as np
import pytest
from video_ldm.benchmarks.toy_world.common import LAYERS, held_out
from video_ldm.benchmarks.toy_world.prediction import Predictor
from video_ldm.demo.world.scene import TURNS


@pytest.mark.slow
def test_parts_of_a_rollout_are_those_of_the_whole_clip():
    scene, places = held_out(1, tuple(TURNS))[0], [slice(2, 5), slice(9, 14)]
    predictor = Predictor({"file": LAYERS, "steps": 1, "cfg": 1.0, "hold_colours": True})
    with predictor:
        [whole] = predictor.clips(scene, 5, 1.0, 12)
        parts = predictor.parts(scene, 5, 1.0, 12, places)
    assert len(whole) == 14
    for part, place in zip(parts, places, strict=True):
        assert np.array_equal(part, whole[place])
    assert not np.array_equal(whole[2], whole[13])
