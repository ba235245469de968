"""The row on nodes that show a clip: it stands still at a frame, plays again, and is never saved."""

from __future__ import annotations

import json

import pytest

# 40 frames, of which the picture holds 20
SHOW_A_CLIP = """file => {
    app.graph.clear();
    const types = ['VLDM_LoadVideoFrames', 'RepeatImageBatch', 'VLDM_PreviewClip'];
    const [film, longer, look] = types.map(type => {
        const node = LiteGraph.createNode(type);
        app.graph.add(node);
        return node;
    });
    film.widgets.find(widget => widget.name === 'file').value = file;
    longer.widgets.find(widget => widget.name === 'amount').value = 5;
    const output = film.outputs.findIndex(output => output.type === 'IMAGE');
    film.connect(output, longer, 0);
    longer.connect(0, look, look.inputs.findIndex(input => input.name === 'images'));
}"""
PREVIEW = "app.graph.nodes.find(node => node.type === 'VLDM_PreviewClip')"
ADDRESS = f"() => {PREVIEW}.imgs?.[0]?.src ?? ''"
PLAYS = f"() => ({ADDRESS})().includes('/view?')"
# The largest difference of the picture on the node to a frame of the file, read by the browser's own decoder.
DIFFERENCE = f"""async ([address, frame]) => {{
    const data = await (await fetch(address)).arrayBuffer();
    const decoder = new ImageDecoder({{data, type: 'image/webp'}});
    const {{image}} = await decoder.decode({{frameIndex: frame}});
    const {{naturalWidth: width, naturalHeight: height}} = {PREVIEW}.imgs[0];
    const [shown, expected] = [{PREVIEW}.imgs[0], image].map(picture => {{
        const context = new OffscreenCanvas(width, height).getContext('2d');
        context.drawImage(picture, 0, 0);
        return context.getImageData(0, 0, width, height).data;
    }});
    return shown.reduce((worst, value, place) => Math.max(worst, Math.abs(value - expected[place])), 0);
}}"""


@pytest.fixture
def row(editor):
    """The row of a Preview Clip that has run: slider, number, and the address from which the clip plays."""
    editor.page.evaluate(SHOW_A_CLIP, "clip.mp4")
    assert editor.queue() == ("execution_success", "")
    editor.page.wait_for_function(PLAYS)
    slider = editor.page.locator("input[type=range][title=Frame]")
    return slider, slider.locator("xpath=following-sibling::span"), editor.page.evaluate(ADDRESS)


def test_a_clip_stands_still_at_the_frame_of_the_slider_and_plays_again(editor, row):
    slider, number, plays_from = row
    for share, frame in ((26, 5), (19, 19), (18, 18)):  # of 100 before it knows that it has 20
        slider.fill(str(share))
        editor.page.wait_for_function(f"() => {PREVIEW}.imgs[0].src.startsWith('blob:')")
        number.get_by_text(str(2 * frame), exact=True).wait_for()
        same = f"async given => await ({DIFFERENCE})(given) === 0"
        editor.page.wait_for_function(same, arg=[plays_from, frame])
    assert editor.page.evaluate(DIFFERENCE, [plays_from, 3]) > 50  # frames of the file differ
    # not a click at a place: the veil of a dialog that has been closed may still lie over the page
    slider.locator("xpath=preceding-sibling::button").dispatch_event("click")
    assert editor.page.evaluate(ADDRESS) == plays_from and number.inner_text() == ""
    assert editor.problems() == []


def test_the_next_clip_plays(editor, row):
    slider, number, before = row
    slider.fill("50")
    number.get_by_text("20", exact=True).wait_for()
    editor.set_values({"VLDM_PreviewClip": {"fps": 5.0}})
    assert editor.queue() == ("execution_success", "")
    editor.page.wait_for_function(f"before => ({PLAYS})() && ({ADDRESS})() !== before", arg=before)
    assert number.inner_text() == ""


def test_nothing_of_the_row_is_saved_or_sent(editor, row):
    slider, number, _ = row
    slider.fill("50")
    number.get_by_text("20", exact=True).wait_for()
    saved = editor.page.evaluate("() => app.graph.serialize().nodes[2]")
    assert saved["widgets_values"][:2] in ([0], [0, None])
    assert "scrub" not in json.dumps(saved)
    assert "scrub" not in json.dumps(editor.prompt())
