"""Graphs that are none, or not whole: one sentence, nothing lost, no time lost."""

from __future__ import annotations

import copy
import functools
import random
import sys

import pytest
from video_ldm.nodes.graphs.convert import convert
from video_ldm.nodes.graphs.ui_write import with_note
from video_ldm.temporal.errors import GraphError
from video_ldm.tests.graphs.examples import GRAPHS, as_ui, gen1, node, sampled


@pytest.mark.parametrize(
    "thing", [None, 3, "text", [], {}, {"nodes": 1, "links": []}, {"1": {"inputs": {}}}, {"prompt": {"1": 2}}]
)
def test_what_is_no_graph_is_said_to_be_none(thing):
    with pytest.raises(GraphError, match="not a graph of ComfyUI"):
        convert(thing)


def test_circles_end():
    context = node(
        "ADE_StandardStaticContextOptions", context_length=4, context_overlap=1, prev_context=["11", 0]
    )
    graph = sampled("10", **{"10": gen1(context_options=["11", 0]), "11": context})
    assert "VLDM_VideoWindows" in {raw["class_type"] for raw in convert(graph).graph.values()}
    loop = {
        "1": node("Reroute", x=["2", 0]),
        "2": node("Reroute", x=["1", 0]),
        "3": gen1(motion_lora=["1", 0]),
    }
    assert convert(loop).graph["3"]["class_type"] == "VLDM_LoadTemporalLayers"
    itself = {"1": node("ADE_AnimateDiffUnload", model=["1", 0])}
    assert convert(itself).report.lines["lost"]


def test_links_to_nowhere_are_left_out():
    graph = sampled("10", **{"10": gen1(motion_lora=["77", 0], scale_multival=["4", 9])})
    assert convert(graph).graph["10"]["inputs"]["model"] == ["1", 0]
    ui = as_ui(GRAPHS["gen1_loras"])
    ui["links"] += [
        [900, 999, 0, 7, 0, "MODEL"],
        [901, 1, 0, 998, 0, "MODEL"],
        [902, 1, 0, 7, 55, "MODEL"],
        "no wire",
        [1],
    ]
    out = convert(ui).graph
    ends = {raw["id"] for raw in out["nodes"]}
    assert all(wire[1] in ends and wire[3] in ends for wire in out["links"])


def test_unknown_widgets_are_told():
    ui = as_ui(GRAPHS["gen1"])
    next(raw for raw in ui["nodes"] if raw["id"] == 10)["widgets_values"] += [1, 2, 3]
    assert "its last 3 widgets are not known" in convert(ui).report.text()


@pytest.mark.parametrize("values", [None, [], "text", 5, ["only a name"]])
def test_missing_widgets_are_defaults(values):
    ui = as_ui(GRAPHS["gen1"])
    next(raw for raw in ui["nodes"] if raw["id"] == 10)["widgets_values"] = values
    assert "VLDM_LoadTemporalLayers" in str(convert(ui).graph)


def chains(count):
    """Many loaders in a line, each with a LoRA and windows of its own."""
    graph = {"0": node("CheckpointLoaderSimple", ckpt_name="x")}
    for number in range(count):
        name, before = str(3 * number + 1), "0" if number == 0 else str(3 * number - 2)
        graph[name] = {**gen1(motion_lora=[str(3 * number + 2), 0], context_options=[str(3 * number + 3), 0])}
        graph[name]["inputs"]["model"] = [before, 0]
        graph[str(3 * number + 2)] = node("ADE_AnimateDiffLoRALoader", name="zoom.ckpt", strength=0.5)
        graph[str(3 * number + 3)] = node(
            "ADE_StandardStaticContextOptions", context_length=4, context_overlap=1
        )
    return graph


def reroutes(count):
    """One long line of reroutes between a LoRA and its loader."""
    graph = {"1": node("ADE_AnimateDiffLoRALoader", name="zoom.ckpt", strength=0.5)}
    for number in range(2, count):
        graph[str(number)] = node("Reroute", x=[str(number - 1), 0])
    return {**graph, str(count): gen1(motion_lora=[str(count - 1), 0])}


def keyframes(count):
    """One long chain of keyframes."""
    graph = {"1": node("ADE_MultivalDynamic", float_val=0.5)}
    for number in range(2, count):
        before = {} if number == 2 else {"prev_ad_keyframes": [str(number - 1), 0]}
        graph[str(number)] = node(
            "ADE_AnimateDiffKeyframe", start_percent=number / count, effect_multival=["1", 0], **before
        )
    return {**graph, str(count): gen1(ad_keyframes=[str(count - 1), 0])}


@pytest.mark.slow
@pytest.mark.parametrize("build", [chains, reroutes, keyframes])
@pytest.mark.parametrize("page", [False, True])
def test_two_thousand_nodes_take_ten_times_the_calls_of_two_hundred(build, page):
    """Work grows with the nodes and not with their square, which would be a hundred times as much."""

    def calls(count: int) -> int:
        graph, made = build(count // 3 if build is chains else count), 0
        graph = as_ui(graph) if page else graph

        def count_it(_frame, event, _argument):
            nonlocal made
            made += event in ("call", "c_call")

        sys.setprofile(count_it)
        try:
            assert convert(graph).report.changed
        finally:
            sys.setprofile(None)
        return made

    assert calls(2_000) < 15 * calls(200)


JUNK = (None, 3, -1, 2.5, "x", [], {}, [1, 2], {"a": 1}, True, [[]], 10**40, "7", ["7", 0], float("nan"))


def places(thing, path=()):
    """Ways to everything in a graph: keys and numbers from its root."""
    parts = thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ()
    for key, value in parts:
        yield (*path, key)
        yield from places(value, (*path, key))


def damaged(graph, drawn):
    """A graph of which a few things are gone, or junk."""
    graph = copy.deepcopy(graph)
    for _ in range(drawn.randint(1, 3)):
        *path, last = drawn.choice(list(places(graph)))
        part = functools.reduce(lambda inside, key: inside[key], path, graph)
        if drawn.random() < 0.3:
            del part[last]
        else:
            part[last] = drawn.choice(JUNK)
    return graph


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_damaged_graphs_come_out_whole_or_are_said_to_be_none(seed):
    drawn = random.Random(seed)
    for _ in range(150):
        graph = GRAPHS[drawn.choice(list(GRAPHS))]
        graph = damaged(as_ui(graph) if drawn.random() < 0.6 else graph, drawn)
        given = repr(graph)
        try:
            out = convert(graph).graph
        except GraphError:
            continue
        assert repr(graph) == given
        if "nodes" in out:
            with_note(out, "said")


def test_a_link_to_an_output_that_a_node_does_not_have_is_left_out():
    graph = {**GRAPHS["hooks"]}
    graph["2"] = node("ADE_AttachLoraHookToConditioning", conditioning=["5", 0], lora_hook=["80", 9])
    assert "hooks" not in convert(graph).graph["2"]["inputs"]
    out = convert(as_ui(graph)).graph
    ends = {raw["id"] for raw in out["nodes"]}
    assert all(wire[1] in ends and wire[3] in ends for wire in out["links"])
