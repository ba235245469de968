"""Each graph has a thumbnail of what ComfyUI shows today; `python -m video_ldm.demo.thumbnails` makes them anew."""

from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image
from video_ldm.demo import thumbnails

GRAPHS = sorted(thumbnails.WORKFLOWS.glob("*.json"))


def test_every_graph_has_one_and_none_is_left_over():
    pictures = {path.stem for path in thumbnails.WORKFLOWS.glob("*.jpg")}
    assert pictures == {path.stem for path in GRAPHS}


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_it_shows_the_graph_as_it_is(path):
    assert thumbnails.stored_fingerprint(path) == thumbnails.fingerprint(path)
    with Image.open(path.with_suffix(".jpg")) as picture:
        assert picture.width >= 800
    assert path.with_suffix(".jpg").stat().st_size <= thumbnails.MAX_BYTES


def test_a_changed_graph_or_node_is_noticed(tmp_path, monkeypatch):
    path = tmp_path / "graph.json"
    shutil.copy(GRAPHS[0], path)
    before = thumbnails.fingerprint(path)
    frozen = json.loads(thumbnails.FROZEN.read_text("utf-8"))
    frozen["VLDM_TemporalVAEDecode"]["inputs"].append(["new", "INT", True])
    monkeypatch.setattr(thumbnails, "FROZEN", tmp_path / "frozen.json")
    thumbnails.FROZEN.write_text(json.dumps(frozen), "utf-8")
    assert thumbnails.fingerprint(path) != before
    monkeypatch.undo()
    workflow = json.loads(path.read_text("utf-8"))
    workflow["nodes"][0]["pos"][0] += 1
    path.write_text(json.dumps(workflow), "utf-8")
    assert thumbnails.fingerprint(path) != before
