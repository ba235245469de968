"""Parts of the page's graphs beside nodes: reroutes, values, muted and bypassed nodes, subgraphs, notes."""

from __future__ import annotations

import copy

from video_ldm.nodes.graphs.convert import convert
from video_ldm.nodes.graphs.targets import TARGETS
from video_ldm.nodes.graphs.ui_write import with_note
from video_ldm.tests.graphs.examples import GRAPHS, as_ui, gen1, node, sampled

MUTED, BYPASSED = 2, 4
PLACE = {
    part.name: place
    for place, part in enumerate(part for part in TARGETS["VLDM_VideoWindows"].inputs if part.widget)
}


def by_id(ui):
    """Nodes of a graph of the page."""
    return {raw["id"]: raw for raw in ui["nodes"]}


def types(ui):
    """Count of each type of node."""
    return sorted(raw["type"] for raw in ui["nodes"])


def value(raw, place):
    """A widget of a node by its place."""
    return raw["widgets_values"][place]


def the(ui, kind):
    """The one node of a type."""
    (found,) = (raw for raw in ui["nodes"] if raw["type"] == kind)
    return found


def with_reroute(ui, link_id, name=900):
    """The graph with a reroute in one of its wires."""
    ui = copy.deepcopy(ui)
    nodes = by_id(ui)
    wire = next(wire for wire in ui["links"] if wire[0] == link_id)
    target, target_slot, kind = wire[3:]
    further = ui["last_link_id"] + 1
    wire[3:5] = [name, 0]
    ui["links"].append([further, name, 0, target, target_slot, kind])
    nodes[target]["inputs"][target_slot]["link"] = further
    reroute = {
        **{"id": name, "type": "Reroute", "pos": [1, 2], "size": [75, 26], "mode": 0, "widgets_values": None},
        "inputs": [{"name": "", "type": "*", "link": link_id}],
        "outputs": [{"name": "", "type": "*", "links": [further]}],
    }
    ui["nodes"].append(reroute)
    return {**ui, "last_link_id": further, "last_node_id": name}


def wire_into(ui, target, name):
    """Id of the wire into an input."""
    return next(part["link"] for part in by_id(ui)[target]["inputs"] if part["name"] == name)


def test_a_reroute_of_options_is_read_through_and_goes():
    ui = as_ui(GRAPHS["gen1_looped"])
    out = convert(with_reroute(ui, wire_into(ui, 10, "context_options"))).graph
    assert types(out) == types(convert(ui).graph)


def test_a_reroute_of_the_model_stays():
    ui = as_ui(GRAPHS["gen1"])
    out = convert(with_reroute(ui, wire_into(ui, 7, "model"))).graph
    reroute = the(out, "Reroute")
    assert reroute["inputs"][0]["link"] is not None and reroute["outputs"][0]["links"]
    wire = next(wire for wire in out["links"] if wire[0] == reroute["inputs"][0]["link"])
    assert by_id(out)[wire[1]]["type"] == "VLDM_LoadTemporalLayers"


def test_bypassed_options_are_passed_and_muted_ones_are_none():
    for mode, loras in ((BYPASSED, ["zoom.ckpt"]), (MUTED, [])):
        ui = as_ui(GRAPHS["gen1_loras"])
        lora = by_id(ui)[21]
        lora["mode"] = mode
        lora["inputs"][0]["type"] = lora["outputs"][0]["type"] = "MOTION_LORA"
        out = convert(ui).graph
        assert [value(raw, 0) for raw in out["nodes"] if raw["type"] == "VLDM_LoadMotionLoRA"] == loras


def test_a_bypassed_loader_becomes_bypassed_nodes():
    ui = as_ui(GRAPHS["gen1"])
    by_id(ui)[10]["mode"] = BYPASSED
    assert the(convert(ui).graph, "VLDM_LoadTemporalLayers")["mode"] == BYPASSED


def test_a_value_from_a_primitive_stays_linked_or_is_read():
    ui = as_ui(
        sampled(
            "10",
            **{
                "10": gen1(context_options=["11", 0]),
                "11": node(
                    "ADE_StandardStaticContextOptions",
                    context_length=["12", 0],
                    context_overlap=2,
                    fuse_method=["13", 0],
                ),
                "12": node("PrimitiveNode"),
                "13": node("PrimitiveNode"),
            },
        )
    )
    by_id(ui)[12]["widgets_values"], by_id(ui)[13]["widgets_values"] = [6, "fixed"], ["flat", "fixed"]
    out = convert(ui).graph
    windows = the(out, "VLDM_VideoWindows")
    assert [part["name"] for part in windows["inputs"]] == ["model", "context_length"]
    assert windows["inputs"][1]["link"] is not None and value(windows, PLACE["fuse_method"]) == "flat"
    assert 12 in by_id(out) and 13 not in by_id(out)


def test_links_without_wires_are_followed():
    ui = as_ui(
        sampled(
            "10",
            **{
                "10": gen1(motion_lora=["14", 0]),
                "12": node("ADE_AnimateDiffLoRALoader", name="zoom.ckpt", strength=0.5),
                "13": node("SetNode", MOTION_LORA=["12", 0]),
                "14": node("GetNode"),
            },
        )
    )
    by_id(ui)[13]["widgets_values"] = by_id(ui)[14]["widgets_values"] = ["loras"]
    assert value(the(convert(ui).graph, "VLDM_LoadMotionLoRA"), 0) == "zoom.ckpt"


def test_a_subgraph_is_converted_inside():
    inner = as_ui(
        {
            "10": node(
                "ADE_AnimateDiffLoaderGen1", model_name="mm.ckpt", beta_schedule="autoselect", model=["1", 0]
            ),
            "1": node("Reroute"),
        }
    )
    loader = by_id(inner)[10]
    sub = {
        "id": "aaaa-bbbb",
        "name": "layers",
        "nodes": [loader],
        "inputs": [{"name": "model", "type": "MODEL", "linkIds": [1]}],
        "outputs": [{"name": "MODEL", "type": "MODEL", "linkIds": [2]}],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 10, "target_slot": 0, "type": "MODEL"},
            {"id": 2, "origin_id": 10, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "MODEL"},
        ],
    }
    ui = {
        **as_ui(sampled("10", **{"10": node("aaaa-bbbb", model=["1", 0])})),
        "definitions": {"subgraphs": [sub]},
    }
    out = convert(ui).graph
    (made,) = out["definitions"]["subgraphs"]
    (layers,) = made["nodes"]
    assert layers["type"] == "VLDM_LoadTemporalLayers" and layers["id"] == 10
    assert out["nodes"] == ui["nodes"]
    ends = {wire["id"]: wire for wire in made["links"]}
    (inlet,) = made["inputs"][0]["linkIds"]
    (outlet,) = made["outputs"][0]["linkIds"]
    assert ends[inlet]["target_id"] == 10 and layers["inputs"][0]["link"] == inlet
    assert ends[outlet]["origin_id"] == 10 and layers["outputs"][0]["links"] == [outlet]


def test_the_note_stands_beside_the_graph():
    out = convert(as_ui(GRAPHS["gen1"]))
    noted = with_note(out.graph, out.report.text())
    note = the(noted, "MarkdownNote")
    assert note["pos"][0] + note["size"][0] <= min(raw["pos"][0] for raw in out.graph["nodes"])
    assert note["id"] == noted["last_node_id"] and "Load Temporal Layers" in value(note, 0)
    assert noted["nodes"][:-1] == out.graph["nodes"]
