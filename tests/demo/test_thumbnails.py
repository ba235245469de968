"""Each graph has a thumbnail of what ComfyUI shows today.

`python -m video_ldm.demo.thumbnails` makes them anew.
"""

from __future__ import annotations

import copy
import json
import shutil

import pytest
from PIL import Image
from video_ldm.demo import thumbnails

GRAPHS = sorted(thumbnails.WORKFLOWS.glob("*.json"))
NODE = "VLDM_TemporalVAEDecode"


@pytest.fixture(scope="module")
def info(node_info):
    return node_info


def test_every_graph_has_one_and_none_is_left_over():
    pictures = {path.stem for path in thumbnails.WORKFLOWS.glob("*.jpg")}
    assert pictures == {path.stem for path in GRAPHS}


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_it_shows_the_graph_as_it_is(path, info):
    assert thumbnails.stored_fingerprint(path) == thumbnails.fingerprint(path, info)
    with Image.open(path.with_suffix(".jpg")) as picture:
        assert picture.width >= 800
    assert path.with_suffix(".jpg").stat().st_size <= thumbnails.MAX_BYTES


def test_a_changed_graph_is_noticed(tmp_path, info):
    path = tmp_path / "graph.json"
    shutil.copy(GRAPHS[0], path)
    before = thumbnails.fingerprint(path, info)
    workflow = json.loads(path.read_text("utf-8"))
    workflow["nodes"][0]["pos"][0] += 1
    path.write_text(json.dumps(workflow), "utf-8")
    assert thumbnails.fingerprint(path, info) != before


CHANGES = {
    "title": lambda node: node.update(display_name="Decode"),
    "new input": lambda node: node["input"]["required"].update(new=["INT", {}]),
    "label of an input": lambda node: node["input"]["required"]["overlap"][1].update(display_name="shared"),
    "type of an input": lambda node: node["input"]["required"]["overlap"].__setitem__(0, "FLOAT"),
    "name of an output": lambda node: node["output_name"].__setitem__(0, "frames"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_node_says_is_noticed(info, change):
    changed = copy.deepcopy(info)
    CHANGES[change](changed[NODE])
    assert thumbnails.fingerprint(GRAPHS[0], changed) != thumbnails.fingerprint(GRAPHS[0], info)


def test_what_nobody_sees_is_not(info):
    changed = copy.deepcopy(info)
    changed[NODE]["description"] = changed[NODE]["input"]["required"]["overlap"][1]["tooltip"] = "New."
    assert thumbnails.fingerprint(GRAPHS[0], changed) == thumbnails.fingerprint(GRAPHS[0], info)
