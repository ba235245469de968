"""New nodes lie in nobody's way, near where the old ones were; what an artist placed stays."""

from __future__ import annotations

import json

import pytest
from video_ldm.nodes.graphs.convert import convert
from video_ldm.nodes.graphs.places import TITLE, TakenPlaces
from video_ldm.tests.graphs.examples import GRAPHS, as_ui


def boxes(nodes):
    """Corners of what nodes cover."""
    return [
        (x, y - TITLE, x + width, y + height)
        for (x, y), (width, height) in ((node["pos"], node["size"]) for node in nodes)
    ]


def meet(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("name", GRAPHS)
def test_no_new_node_covers_another(name):
    before = as_ui(GRAPHS[name])
    out = convert(before).graph
    kept = {json.dumps([raw["id"], raw["type"], raw["pos"]]) for raw in before["nodes"]}
    new = [raw for raw in out["nodes"] if json.dumps([raw["id"], raw["type"], raw["pos"]]) not in kept]
    assert new
    for raw in new:
        [box], others = boxes([raw]), boxes(other for other in out["nodes"] if other is not raw)
        assert not any(meet(box, other) for other in others), raw["type"]
        near = min(
            abs(raw["pos"][0] - old["pos"][0]) + abs(raw["pos"][1] - old["pos"][1]) for old in before["nodes"]
        )
        assert near < 1000, raw["type"]


def test_a_place_that_is_free_is_kept():
    places = TakenPlaces([{"pos": [0, 0], "size": [100, 100]}])
    assert places.nearest(500, 0, 100, 100) == (500, 0)
    assert places.nearest(500, 0, 100, 100) != (500, 0)


def test_a_page_that_is_full_is_left_downwards():
    places = TakenPlaces([{"pos": [-9000, -9000], "size": [18000, 18000]}])
    assert places.nearest(0, 0, 100, 100)[1] > 9000


@pytest.mark.parametrize("pos", [None, [], ["x", 3], [1e300, 2], {"0": 1}, [0]])
def test_places_that_are_none_harm_nothing(pos):
    places = TakenPlaces([{"pos": pos, "size": pos}])
    x, y = places.nearest(3, 4, 10, 10)
    assert abs(x) < 1000 and abs(y) < 1000
