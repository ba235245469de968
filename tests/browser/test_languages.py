"""ComfyUI's page in other languages.

Titles, inputs, outputs and tooltips of our nodes are in the artist's own.
"""

from __future__ import annotations

import json

import pytest
from video_ldm.demo import locales
from video_ldm.demo.browser import Editor
from video_ldm.tests.host.test_workflows import WORKFLOWS

GRAPH = next(path for path in WORKFLOWS if path.stem == "text_to_video")
SHOWN = """() => Object.fromEntries(app.graph.nodes.filter(
    node => node.type.startsWith('VLDM_')).map(node => {
    const slot = part => [part.name, part.label ?? part.localized_name];
    const widgets = (node.widgets ?? []).map(widget => [widget.name, widget.label]);
    return [node.type, {
        title: LiteGraph.registered_node_types[node.type].title,
        inputs: Object.fromEntries([...node.inputs.map(slot), ...widgets]),
        outputs: node.outputs.map(output => [output.name !== output.type, slot(output)[1]]),
    }];
}))"""
WIDGET_AT = """([type, name]) => {
    const node = app.graph.nodes.find(node => node.type === type);
    const widget = node.widgets.find(widget => widget.name === name);
    app.canvas.ds.scale = 1;
    app.canvas.ds.offset = [300 - node.pos[0], 200 - node.pos[1]];
    app.canvas.draw(true, true);
    const box = document.querySelector('#graph-canvas').getBoundingClientRect();
    return [box.left + 300 + node.size[0] / 2, box.top + 200 + widget.last_y + 10];
}"""
NODE, WIDGET = "VLDM_VideoKSampler", "denoise"


@pytest.fixture(scope="module", params=locales.LANGUAGES)
def foreign(request, editor, server):
    """The language of a page, and the page in it."""
    server.post("/settings", {"Comfy.Locale": request.param, "LiteGraph.Node.TooltipDelay": 10})
    page = editor.page.context.browser.new_page(viewport={"width": 1600, "height": 1000})
    try:
        yield request.param, Editor(page, server.url)
    finally:
        page.close()
        server.post("/settings", {"Comfy.Locale": "en", "LiteGraph.Node.TooltipDelay": 500})


def words(language: str) -> dict:
    """Words of the pack in a language, by node."""
    return json.loads((locales.LOCALES / language / "nodeDefs.json").read_text("utf-8"))


def test_names_are_those_of_the_language(foreign):
    language, page = foreign
    page.load(json.loads(GRAPH.read_text("utf-8")))
    shown = page.page.evaluate(SHOWN)
    assert len(shown) > 2
    for node, parts in shown.items():
        ours = words(language)[node]
        assert parts["title"] == ours["display_name"]
        named = {name: text["name"] for name, text in ours["inputs"].items()}
        assert {name: parts["inputs"].get(name) for name in named} == named
        for (is_ours, text), own in zip(parts["outputs"], ours["outputs"].values(), strict=True):
            assert text == own["name"] or not is_ours  # the host has words for its own types


def test_tooltips_are_in_the_language(foreign):
    language, page = foreign
    page.load(json.loads(GRAPH.read_text("utf-8")))
    text = words(language)[NODE]["inputs"][WIDGET]["tooltip"]
    x, y = page.page.evaluate(WIDGET_AT, [NODE, WIDGET])
    shown = page.page.get_by_text(text)
    for aside in (5, 0) * 20:  # newer pages show nothing while they are still drawing, so the mouse moves on
        page.page.mouse.move(x - aside, y)
        page.page.wait_for_timeout(500)
        if shown.count():
            break
    assert shown.count()
