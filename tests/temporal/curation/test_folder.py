"""Folders without videos are refused, and photos told what they can teach."""

from __future__ import annotations

import pytest
from video_ldm.temporal.curation.folder import video_paths
from video_ldm.temporal.errors import InvalidInputError


def test_a_folder_of_photos_is_told_what_photos_can_teach(tmp_path):
    for name in ("a.jpg", "b.PNG"):
        (tmp_path / name).touch()
    with pytest.raises(InvalidInputError, match=r"pictures \(2\) and no videos; .* set camera"):
        video_paths(tmp_path)
    assert [path.name for path in video_paths(tmp_path, pictures=True)] == ["a.jpg", "b.PNG"]


def test_a_folder_of_nothing_is_told_what_videos_are(tmp_path):
    (tmp_path / "notes.txt").touch()
    for pictures in (False, True):
        with pytest.raises(InvalidInputError, match=r"no videos \(\..*mp4"):
            video_paths(tmp_path, pictures)
