"""Names that an artist writes: variables, and places that a graph from elsewhere may not reach."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path

import pytest

NOON = time.struct_time((2026, 3, 7, 9, 5, 8, 5, 66, 0))


@pytest.fixture
def filled_in(host, monkeypatch):
    """The function, at one moment."""
    from video_ldm.nodes.host import names

    monkeypatch.setattr(names.time, "localtime", lambda: NOON)
    return names.filled_in


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("%date:yyyy-MM-dd%/film", "2026-03-07/film"),
        ("%date:yyyy/MM%/a_%date:hhmmss%", "2026/03/a_090508"),
        ("%date:d.M.yy h:m:s%", "7.3.26 9-5-8"),  # no colon: Windows has none in names
        ("%date:hh:mm%", "09-05"),
        ("%date:%x", "x"),
        ("100%", "100%"),
        ("%width%x%height%_%year%", "%width%x%height%_%year%"),  # the host knows them
        ("%Load Checkpoint.ckpt_name%", "a_b.safetensors"),
        ("%KSampler.seed%_%mine.seed%", "7_7"),
        ("%KSampler.model%", "%KSampler.model%"),
        ("%nobody.seed%", "%nobody.seed%"),
        ("a\nb\0c", "a_b_c"),
    ],
)
def test_variables_are_filled_in_as_on_the_page(filled_in, name, expected):
    graph = {
        "1": {
            "class_type": "CheckpointLoaderSimple",
            "inputs": {"ckpt_name": "a/b.safetensors"},
            "_meta": {"title": "Load Checkpoint"},
        },
        "2": {"class_type": "KSampler", "inputs": {"seed": 7, "model": ["1", 0]}, "_meta": {"title": "mine"}},
        "3": {"class_type": "KSampler", "inputs": {}},
    }
    assert filled_in(name, graph) == expected


def test_windows_gets_no_letters_that_it_has_not_in_names(filled_in, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert filled_in('what? a "film"/12:30|<b>*') == "what_ a _film_/12_30__b__"


def test_a_film_is_named_by_its_date_from_the_api(host, tmp_path, monkeypatch):
    import folder_paths
    import torch

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    prefix = "%date:yyyy-MM-dd%/%date:hh:mm%_%width%"
    host.call(
        "VLDM_RenderVideo",
        images=torch.rand(2, 8, 8, 3),
        format="gif",
        quality=80,
        fps=8.0,
        filename_prefix=prefix,
    )
    (path,) = tmp_path.rglob("*.gif")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d/\d\d-\d\d_8_00001_\.gif", path.relative_to(tmp_path).as_posix())


@pytest.mark.parametrize(
    "name",
    ["/elsewhere", "../elsewhere", "a/../../elsewhere", "{tmp}", "../output_of_another", "%date:..%/x"],
)
def test_segments_stay_inside_the_output_folder(host, tmp_path, monkeypatch, name):
    import folder_paths
    from video_ldm.nodes.host.names import folder_of_segments
    from video_ldm.temporal.errors import InvalidInputError

    output = tmp_path / "output"
    monkeypatch.setattr(folder_paths, "output_directory", str(output))
    with pytest.raises(
        InvalidInputError, match=r"leads out of .* extra_model_paths.yaml under the name video_ldm_segments"
    ):
        folder_of_segments(name.replace("{tmp}", str(tmp_path)))
    assert not list(tmp_path.iterdir())
    assert folder_of_segments(" a/b ") == output / "a" / "b"
    assert folder_of_segments(str(output / "c")) == output / "c"


def test_the_owner_of_the_host_allows_a_folder_elsewhere(host, tmp_path, monkeypatch):
    import folder_paths
    from utils.extra_config import load_extra_path_config
    from video_ldm.nodes.host.names import folder_of_segments

    config = tmp_path / "extra_model_paths.yaml"
    config.write_text(f"films:\n  base_path: {tmp_path.as_posix()}\n  video_ldm_segments: allowed\n")
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", dict(folder_paths.folder_names_and_paths))
    load_extra_path_config(str(config))
    assert folder_of_segments(str(tmp_path / "allowed" / "x")) == Path(tmp_path / "allowed" / "x")
    with pytest.raises(ValueError, match="leads out"):
        folder_of_segments(str(tmp_path / "allowed" / ".." / "x"))
