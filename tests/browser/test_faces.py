"""Nodes as the page draws them: rare rows are hidden, links of the pack's own kinds have a colour."""

from __future__ import annotations

import pytest

ADD = """type => {
    app.graph.clear();
    const node = LiteGraph.createNode(type);
    app.graph.add(node);
    for (let frame = 0; frame < 3; frame++) app.canvas.draw(true, true);
    const rare = node.widgets.filter(widget => widget.advanced).length;
    return [node.size[1], node.widgets.map(widget => widget.name), rare];
}"""
OPEN_AGAIN = """async values => {
    const saved = app.graph.serialize();
    const names = app.graph.nodes[0].widgets.map(widget => widget.name);
    for (const [name, value] of Object.entries(values))
        saved.nodes[0].widgets_values[names.indexOf(name)] = value;
    await app.loadGraphData(saved);
    return Boolean(app.graph.nodes[0].showAdvanced);
}"""
COLOURS = "types => types.map(type => app.canvas.default_connection_color_byType[type])"


@pytest.fixture
def layers(editor):
    """Height, rows and number of rare rows of a new Load Temporal Layers, alone in the page."""
    return editor.page.evaluate(ADD, "VLDM_LoadTemporalLayers")


def test_rare_rows_come_last_and_leave_no_gap(layers):
    height, rows, rare = layers
    assert rows[:3] == ["file", "strength", "longer_clips"]
    assert rare == len(rows) - 3 > 0
    assert height < 30 * 6  # a title, two sockets and three rows


def test_a_graph_that_sets_a_rare_row_shows_it(editor, layers):
    assert not editor.page.evaluate(OPEN_AGAIN, {"strength": 0.5})
    assert editor.page.evaluate(OPEN_AGAIN, {"alpha_middle": 0.5})


def test_a_new_node_that_shows_a_clip_has_room_for_it(editor):
    height, rows, _ = editor.page.evaluate(ADD, "VLDM_PreviewClip")
    assert rows == ["fps", "scrub"] and height > 390


def test_own_kinds_of_links_keep_their_colours(editor, layers):
    colours = editor.page.evaluate(COLOURS, ["VLDM_UPSCALER", "VLDM_MOTION_PROMPT"])
    assert len(set(colours)) == 2 and all(colour.startswith("#") for colour in colours)
