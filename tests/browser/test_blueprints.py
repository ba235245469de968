"""Blueprints of the pack: the host lists them, the page adds one, and what it sends is the graph it is of."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from video_ldm.demo import environment
from video_ldm.demo.blueprints import BLUEPRINTS, SUBGRAPHS, written
from video_ldm.demo.graphs import to_api

OPEN = "() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle')"
# What stands outside is put around the blueprint, wired by the kinds of the slots.
AROUND = """types => {
    const inner = app.graph.nodes[0];
    for (const type of types) {
        const node = LiteGraph.createNode(type);
        app.graph.add(node);
        const ends = type === 'SaveVideo' ? [inner, node] : [node, inner];
        const [out, into] = ends;
        const kind = out.outputs[0].type;
        out.connect(0, into, into.inputs.findIndex(slot => slot.type === kind));
    }
}"""

every_blueprint = pytest.mark.parametrize("name", BLUEPRINTS)


def plain(value: object) -> object:
    """A value as the page and a saved graph both have it: 1 and 1.0 are one number."""
    return "a link" if isinstance(value, list) else float(value) if isinstance(value, int) else value


def values(graph: dict, names: dict[str, set[str]]) -> Counter:
    """Every node of a graph with its values, for the inputs of each type that are asked for."""
    return Counter(
        json.dumps(
            [
                node["class_type"],
                {
                    name: plain(value)
                    for name, value in sorted(node["inputs"].items())
                    if name in names[node["class_type"]]
                },
            ]
        )
        for node in graph.values()
    )


@every_blueprint
def test_it_is_what_its_graph_makes_of_it(name):
    """Else run `python -m video_ldm.demo.blueprints`."""
    assert (SUBGRAPHS / f"{name}.json").read_text("utf-8") == written(name)


def test_the_host_lists_them(server):
    entries = server.get("/global_subgraphs").values()
    ours = {entry["name"] for entry in entries if "video-ldm" in entry["info"]["node_pack"]}
    assert ours == set(BLUEPRINTS)


@every_blueprint
def test_the_page_sends_the_graph_that_it_is_of(editor, node_info, name):
    plan = BLUEPRINTS[name]
    workflow = json.loads((environment.REPO / "workflows" / f"{plan.graph}.json").read_text("utf-8"))
    for node in workflow["nodes"]:
        node["mode"] = 4 if node["type"] in plan.left_out else node["mode"]
    expected = to_api(workflow, node_info)
    editor.load(json.loads((SUBGRAPHS / f"{name}.json").read_text("utf-8")))
    editor.page.evaluate(AROUND, list(plan.outside))
    assert editor.problems() == []
    names: dict[str, set[str]] = {}
    for node in expected.values():
        kept = set() if node["class_type"] in plan.outside else set(node["inputs"])
        names.setdefault(node["class_type"], set()).update(kept)
    assert values(editor.prompt(), names) == values(expected, names)


def test_one_that_is_found_by_its_name_runs_with_the_values_on_its_face(editor):
    page, name = editor.page, "Text to Video (Video LDM)"
    page.evaluate("() => app.graph.clear()")
    page.evaluate(OPEN)
    page.keyboard.type(name)
    page.locator("[role=option]", has_text=name).first.click()
    editor.wait_for_nodes(1)
    page.evaluate(AROUND, ["SaveVideo"])
    page.evaluate(
        """values => {
            const face = app.graph.nodes[0].widgets;
            for (const [name, value] of Object.entries(values))
                face.find(widget => widget.name === name || widget.label === name).value = value;
        }""",
        {"prompt": "a blue square", "width": 64, "height": 64, "seconds": 0.25, "steps": 1},
    )
    prompt = editor.prompt()
    [clip] = [node["inputs"] for node in prompt.values() if node["class_type"] == "VLDM_EmptyClip"]
    assert (clip["width"], clip["height"], clip["seconds"]) == (64, 64, 0.25)
    texts = {node["inputs"]["text"] for node in prompt.values() if node["class_type"] == "CLIPTextEncode"}
    assert "a blue square" in texts
    assert editor.queue() == ("execution_success", "")
