"""The page in another language."""

from __future__ import annotations

import json

from video_ldm.demo import browser
from video_ldm.demo.locales import LOCALES

SHOWN = """() => {
    const node = LiteGraph.createNode('VLDM_VideoKSampler');
    return [node.title, node.inputs.map(input => input.localized_name ?? input.label),
            node.widgets.map(widget => widget.label)];
}"""


def test_nodes_speak_the_artists_language(editor, server):
    words = json.loads((LOCALES / "ja" / "nodeDefs.json").read_text("utf-8"))["VLDM_VideoKSampler"]
    server.post("/settings", {"Comfy.Locale": "ja"})
    try:
        editor.page.reload(wait_until="domcontentloaded")
        editor.page.wait_for_function(browser.UP)
        title, inputs, widgets = editor.page.evaluate(SHOWN)
    finally:
        server.post("/settings", {"Comfy.Locale": "en"})
    assert title == words["display_name"]
    assert words["inputs"]["model"]["name"] in inputs
    assert words["inputs"]["cfg_last_frame"]["name"] in widgets
