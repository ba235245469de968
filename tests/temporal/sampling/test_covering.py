"""Windows that a schedule forgot frames of, or ran over the end with."""

from __future__ import annotations

import pytest
from video_ldm.temporal.sampling.covering import covering


@pytest.mark.parametrize(
    ("windows", "num_frames", "expected"),
    [
        ([[0, 1, 2], [2, 3, 4]], 5, [[0, 1, 2], [2, 3, 4]]),
        ([[0, 2, 4], [3, 4, 5]], 6, [[0, 2, 4], [3, 4, 5], [1, 2, 3]]),
        ([[0, 1, 2], [4, 5, 6]], 5, [[0, 1, 2], [2, 3, 4]]),
        ([[3, 4, 5]], 6, [[3, 4, 5], [0, 1, 2]]),
        ([[0, 1, 2]], 8, [[0, 1, 2], [3, 4, 5], [5, 6, 7]]),
        ([[4, 0, 1]], 5, [[4, 0, 1], [2, 3, 4]]),  # a loop goes over the end on purpose
        ([], 2, [[0, 1]]),
    ],
)
def test_every_frame_is_in_a_window_and_every_window_in_the_clip(windows, num_frames, expected):
    assert covering(windows, num_frames, length=3) == expected
