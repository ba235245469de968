"""Segments and films, killed at every file operation.

Whole or not there, and done again as if nothing had been.
"""

from __future__ import annotations

import pytest
from video_ldm.benchmarks.faults import film_kills as kills
from video_ldm.tests.kill import IS_AVAILABLE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IS_AVAILABLE, reason="Linux counts the operations"),
]


def test_segments_killed_at_every_operation(tmp_path):
    found = kills.killed(kills.rollout(tmp_path / "folder", count=2))
    assert found["kills"] > 20 and not found["problems"]


def test_a_film_killed_at_every_operation(tmp_path):
    """A sequence, which needs no encoder.

    `python -m video_ldm.benchmarks.faults.film_kills` kills the others, too.
    """
    found = kills.killed(kills.film(tmp_path / "folder", "png sequence (8 bit)"))
    assert found["kills"] > 10 and not found["problems"]
    assert {"mkdir", "write", "unlink"} <= {kind.removesuffix("at") for kind in found["before"]}
