"""Angles of films of orbits, and the views that a step draws of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from video_ldm.temporal.curation.folder import find_videos, metadata
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.training.data.frames import FrameStore
from video_ldm.temporal.training.video_model.orbits import (
    Orbit,
    check_rates,
    draw_orbit,
    read_orbits,
    whole_turn,
)


def orbits_of(folder: Path, *lines: dict) -> list[Orbit]:
    """The angles of films of 5 frames, one a line."""
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    names = [line["file_name"] for line in lines]
    return read_orbits(names, metadata(folder, [folder / name for name in names]), [5] * len(names))


def store_of(*counts: int) -> FrameStore:
    """Frames whose value is their number; the last view of each film is its first."""
    offsets = np.cumsum([0, *counts])
    values = np.concatenate([[*range(a, a + n - 1), a] for a, n in zip(offsets, counts, strict=False)])
    return FrameStore(np.tile(values.astype(np.uint8)[:, None, None, None], (1, 2, 2, 3)), offsets)


def numbers(frames) -> list[int]:
    return (frames[:, 0, 0, 0] * 255).round().int().tolist()


def test_angles_are_read_beside_films(tmp_path):
    even, part, dynamic = orbits_of(
        tmp_path,
        {"file_name": "a.mp4", "elevation": 10},
        {"file_name": "b.mp4", "elevation": -5.5, "azimuth": 288},
        {"file_name": "c.mp4", "elevation": [0, 10, 0, -10, 0], "azimuth": [0, 80, 170, 260, 0]},
    )
    assert even.azimuth.tolist() == [0, 90, 180, 270, 360] and even.elevation.tolist() == [10] * 5
    assert part.azimuth.tolist() == [0, 72, 144, 216, 288] and part.elevation.tolist() == [-5.5] * 5
    assert dynamic.azimuth.tolist() == [0, 80, 170, 260, 0] and dynamic.elevation[3] == -10
    assert even.closed and dynamic.closed and not part.closed
    assert not Orbit(np.array([0.0, 5.0]), np.array([0.0, 360.0])).closed


@pytest.mark.parametrize("value", ["high", [1, 2], [[1] * 5], float("nan"), None, {}])
def test_what_are_no_angles_is_told(tmp_path, value):
    for name in ("elevation", "azimuth"):
        with pytest.raises(InvalidInputError, match=r"elevation and azimuth of a\.mp4"):
            orbits_of(tmp_path, {"file_name": "a.mp4", "elevation": 0, name: value})


def test_orbits_need_an_elevation_and_no_text(tmp_path):
    with pytest.raises(InvalidInputError, match=r"1 of 2 orbits have no elevation \(b\.mp4\); write a line"):
        orbits_of(tmp_path, {"file_name": "a.mp4", "elevation": 0}, {"file_name": "b.mp4", "text": "a cup"})
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).touch()
    assert [video.caption for video in find_videos(tmp_path, needs_captions=False)] == ["", "a cup"]


def test_a_whole_turn_begins_at_any_view():
    store, starts = store_of(4, 9), set()
    orbits = [whole_turn(4), whole_turn(9, 12.0)]
    for seed in range(40):
        frames, elevation, azimuth = draw_orbit(store, orbits, np.random.default_rng(seed), 5)
        start = numbers(frames)[0]
        assert numbers(frames) == [4 + (start - 4 + step) % 8 for step in (0, 2, 4, 6, 8)]
        assert azimuth.tolist() == [0, 90, 180, 270, 0] and elevation.tolist() == [12.0] * 5
        starts.add(start)
    assert starts == set(range(4, 12))


def test_a_part_of_a_turn_is_seen_from_its_first_view_on():
    store, orbit = store_of(5), whole_turn(5, azimuth=-40.0)
    for seed in range(5):
        frames, _, azimuth = draw_orbit(store, [orbit], np.random.default_rng(seed), 3)
        assert numbers(frames) == [0, 2, 0] and azimuth.tolist() == [0, 340, 320]


def test_films_of_which_views_would_be_missing_are_refused():
    check_rates({"a.mp4": 29.97, "b.gif": 30.0}, 30.0)
    with pytest.raises(InvalidInputError, match=r"b\.gif has 24 frames a second and is read at 30, so that"):
        check_rates({"a.mp4": 29.97, "b.gif": 24.0}, 30.0)
