"""Saved workflows to API graphs."""

from __future__ import annotations

import copy

import pytest
from video_ldm.demo.graphs import GraphError, node_of_type, node_titled, to_api, without_node

INFO = {
    "Sampler": {
        "display_name": "The Sampler",
        "input": {
            "required": {
                "model": ["MODEL", {}],
                "seed": ["INT", {"default": 0}],
                "name": [["euler", "ddim"], {}],
                "mode": ["COMBO", {"options": ["a", "b"]}],
            },
            "optional": {
                "strength": ["FLOAT", {}],
                "image": ["IMAGE", {}],
                "mask": ["FLOAT", {"forceInput": True}],
            },
        },
    },
    "Loader": {
        "display_name": "Load",
        "input": {"required": {"image": [["a.png"], {"image_upload": True}]}},
    },
}
WORKFLOW = {
    "nodes": [
        {"id": 1, "type": "Loader", "inputs": [], "widgets_values": ["a.png", "image"], "title": "Source"},
        {
            "id": 2,
            "type": "Sampler",
            "mode": 0,
            "inputs": [{"name": "model", "link": 5}, {"name": "image", "link": None}],
            "widgets_values": [7, "randomize", "euler", "a", 0.5],
        },
        {"id": 3, "type": "MarkdownNote", "inputs": [], "widgets_values": ["read me"]},
    ],
    "links": [[5, 1, 0, 2, 0, "MODEL"]],
}


def test_links_widgets_and_titles():
    assert to_api(WORKFLOW, INFO) == {
        "1": {"class_type": "Loader", "inputs": {"image": "a.png"}, "_meta": {"title": "Source"}},
        "2": {
            "class_type": "Sampler",
            "inputs": {"seed": 7, "name": "euler", "mode": "a", "strength": 0.5, "model": ["1", 0]},
            "_meta": {"title": "The Sampler"},
        },
    }


def test_a_link_wins_over_the_value_saved_under_it():
    workflow = copy.deepcopy(WORKFLOW)
    workflow["nodes"][1]["inputs"].append({"name": "seed", "link": 5, "widget": {"name": "seed"}})
    inputs = to_api(workflow, INFO)["2"]["inputs"]
    assert inputs["seed"] == ["1", 0]
    assert inputs["name"] == "euler"


def test_values_that_a_newer_server_has_more_take_its_defaults():
    """ComfyUI 0.26 added a bit depth behind Create Video's frame rate."""
    info, workflow = copy.deepcopy(INFO), copy.deepcopy(WORKFLOW)
    added = {
        "bit_depth": ["INT", {"default": 8}],
        "codec": ["COMBO", {"options": ["b", "c"], "default": "c"}],
        "format": [["d", "e"]],
    }
    info["Sampler"]["input"]["optional"].update(added)
    inputs = to_api(workflow, info)["2"]["inputs"]
    assert inputs == to_api(WORKFLOW, INFO)["2"]["inputs"] | {"bit_depth": 8, "codec": "c", "format": "d"}
    workflow["nodes"][1]["widgets_values"] += [10, "b"]
    assert to_api(workflow, info)["2"]["inputs"] == inputs | {"bit_depth": 10, "codec": "b"}
    info["Sampler"]["input"]["required"]["first"] = ["INT", {}]  # in the middle, and without a default
    with pytest.raises(GraphError, match="save it again"):
        to_api(WORKFLOW, info)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mode": 2}, "is muted"),
        ({"type": "Reroute"}, "not a node type"),
        ({"widgets_values": [7, "euler", "a", 0.5]}, r"save it again"),
        ({"widgets_values": {"seed": 7}}, r"save it again"),
        ({"widgets_values": [7, "randomize", "euler", "a", 0.5, 1]}, r"save it again"),
        ({"widgets_values": [7, "randomize", "euler"]}, r"save it again"),
    ],
)
def test_what_it_does_not_know_it_refuses(change, message):
    workflow = copy.deepcopy(WORKFLOW)
    workflow["nodes"][1].update(change)
    with pytest.raises(GraphError, match=message):
        to_api(workflow, INFO)


def test_bypassed_nodes_hand_on_what_they_get_of_each_type():
    def node(number, takes, gives, **more):
        inputs = [{"name": kind.lower(), "type": kind, "link": link} for kind, link in takes.items()]
        outputs = [{"name": kind, "type": kind} for kind in gives]
        return {"id": number, "type": "N", "inputs": inputs, "outputs": outputs, **more}

    nodes = [
        node(1, {}, ["MODEL"]),
        node(2, {"MODEL": 1, "CLIP": None}, ["CLIP", "MODEL"], mode=4),
        node(3, {"MODEL": 2, "CLIP": 3}, ["CLIP", "MODEL"], mode=4),
        node(4, {"MODEL": 4, "CLIP": 5}, []),
    ]
    links = [[1, 1, 0, 2, 0, "MODEL"], [2, 2, 1, 3, 0, "MODEL"], [3, 2, 0, 3, 1, "CLIP"]]
    links += [[4, 3, 1, 4, 0, "MODEL"], [5, 3, 0, 4, 1, "CLIP"]]
    graph = to_api({"nodes": nodes, "links": links}, {"N": {"display_name": "N", "input": {}}})
    assert {key: node["inputs"] for key, node in graph.items()} == {"1": {}, "4": {"model": ["1", 0]}}


def test_subgraphs_are_refused():
    with pytest.raises(GraphError, match="subgraphs"):
        to_api(WORKFLOW | {"definitions": {"subgraphs": [{}]}}, INFO)


def test_nodes_are_found_by_title_and_type():
    graph = to_api(WORKFLOW, INFO)
    assert node_titled(graph, "Sour") is graph["1"]["inputs"]
    assert node_of_type(graph, "Sampler") is graph["2"]["inputs"]
    with pytest.raises(GraphError, match="Prompt"):
        node_titled(graph, "Prompt")
    with pytest.raises(GraphError, match="KSampler"):
        node_of_type(graph, "KSampler")


def test_a_node_is_bypassed_or_left_out():
    def graph(middle):
        return {
            "a": {"class_type": "A", "inputs": {"file": "x"}},
            "b": {"class_type": "B", "inputs": middle},
            "c": {"class_type": "C", "inputs": {"vae": ["b", 0], "number": 1}},
        }

    whole = graph({"vae": ["a", 2], "file": "y"})
    bypassed = without_node(whole, "b")
    assert bypassed == {"a": whole["a"], "c": {"class_type": "C", "inputs": {"vae": ["a", 2], "number": 1}}}
    assert whole == graph({"vae": ["a", 2], "file": "y"})
    assert without_node(graph({"file": "y"}), "b")["c"]["inputs"] == {"number": 1}
