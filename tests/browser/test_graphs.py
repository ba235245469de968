"""Graphs in the page as artists treat them: mute, bypass, reroute, subgraphs.

The page's own converter, the host's answer.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from video_ldm.demo.graphs import to_api

WORKFLOWS = Path(__file__).parents[2] / "workflows"
MUTE, BYPASS = 2, 4
WINDOWS = "VLDM_VideoWindows"

SET_MODE = """([type, mode]) => {
    for (const node of app.graph.nodes) if (node.type === type) node.mode = mode;
}"""
ADD_REROUTE = """type => {
    const target = app.graph.nodes.find(node => node.type === type);
    const link = app.graph.getLink(target.inputs[0].link);
    const source = app.graph.getNodeById(link.origin_id);
    const reroute = LiteGraph.createNode('Reroute');
    app.graph.add(reroute);
    const slot = link.origin_slot;
    source.connect(slot, reroute, 0);
    reroute.connect(0, target, 0);
}"""
MAKE_SUBGRAPH = """types => {
    const items = new Set(app.graph.nodes.filter(node => types.includes(node.type)));
    return app.graph.convertToSubgraph(items).node.type;
}"""


@pytest.fixture
def graph(editor):
    """The graph with windows, freshly loaded."""
    editor.load(json.loads((WORKFLOWS / "longer_than_trained.json").read_text("utf-8")))
    return editor


def by_type(prompt: dict, class_type: str) -> dict:
    """The only node of a type."""
    [node] = [node for node in prompt.values() if node["class_type"] == class_type]
    return node


def source(prompt: dict, class_type: str, name: str) -> str:
    """Type of the node that a node's input comes from."""
    return prompt[by_type(prompt, class_type)["inputs"][name][0]]["class_type"]


def test_our_converter_and_the_page_make_the_same_graph(editor, node_info):
    for path in sorted(WORKFLOWS.glob("*.json")):
        workflow = json.loads(path.read_text("utf-8"))
        editor.load(workflow)
        page, ours = editor.prompt(), to_api(workflow, node_info)
        assert set(page) == set(ours), path.stem
        for key, node in page.items():
            kept = {name: value for name, value in node["inputs"].items() if name in ours[key]["inputs"]}
            assert (node["class_type"], kept) == (ours[key]["class_type"], ours[key]["inputs"]), path.stem


def test_a_bypassed_node_hands_on_what_it_gets(graph):
    assert source(graph.prompt(), "VLDM_VideoKSampler", "model") == WINDOWS
    graph.page.evaluate(SET_MODE, [WINDOWS, BYPASS])
    assert source(graph.prompt(), "VLDM_VideoKSampler", "model") == "VLDM_LoadTemporalLayers"
    graph.page.evaluate(SET_MODE, ["VLDM_LoadTemporalLayers", BYPASS])
    assert source(graph.prompt(), "VLDM_VideoKSampler", "model") == "CheckpointLoaderSimple"


def test_a_muted_node_is_left_out(graph):
    graph.page.evaluate(SET_MODE, ["SaveVideo", MUTE])
    assert "SaveVideo" not in {node["class_type"] for node in graph.prompt().values()}


def test_a_reroute_is_only_a_wire(graph):
    before = graph.prompt()
    graph.page.evaluate(ADD_REROUTE, "VLDM_TemporalVAEDecode")
    assert graph.prompt() == before


def test_nodes_in_a_subgraph_run_as_before(graph):
    graph.set_values(
        {
            "EmptyLatentImage": {"width": 64, "height": 64, "batch_size": 9},
            "VLDM_VideoKSampler": {"steps": 1},
            WINDOWS: {"context_length": 6},
        }
    )
    kinds = sorted(node["class_type"] for node in graph.prompt().values())
    graph.page.evaluate(MAKE_SUBGRAPH, [WINDOWS, "VLDM_VideoKSampler", "VLDM_TemporalVAEDecode"])
    prompt = graph.prompt()
    assert sorted(node["class_type"] for node in prompt.values()) == kinds
    assert source(prompt, "VLDM_VideoKSampler", "model") == WINDOWS
    assert graph.queue() == ("execution_success", "")
    assert graph.problems() == []
