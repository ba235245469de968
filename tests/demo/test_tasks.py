"""The eleven tasks of artists as they are wired in benchmarks/artist: with today's nodes, as published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from video_ldm.benchmarks.artist.tasks import RESULTS, TASKS, Page, counted

FROZEN = json.loads((Path(__file__).parents[1] / "nodes" / "frozen.json").read_text("utf-8"))
PUBLISHED = json.loads(RESULTS.read_text("utf-8"))
WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


@pytest.mark.parametrize("task", TASKS)
def test_a_task_takes_what_is_published_and_fits_the_nodes(task):
    page = Page()
    TASKS[task][0](page)
    assert counted(page.graph).items() <= PUBLISHED[task].items()
    ours = [node for node in page.graph.values() if node["class_type"].startswith("VLDM_")]
    assert ours
    for node in ours:
        inputs = FROZEN[node["class_type"]]["inputs"]
        needed = {name for name, kind, optional in inputs if not optional and kind not in WIDGETS}
        assert needed <= set(node["inputs"]) <= {name for name, *_ in inputs}, node
