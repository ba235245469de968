"""Thumbnails in git look as the page draws their graphs today."""

from __future__ import annotations

import io
import json
from importlib.metadata import version

import numpy as np
import pytest
from PIL import Image
from video_ldm.demo import thumbnails
from video_ldm.demo.browser import Editor

# Means over windows are compared, of 255: the arrows of a list are brighter where it has more files.
WINDOW, LIMIT = (16, 48), 6.0
GRAPHS = ("text_to_video", "long_video", "prompt_travel")
DRAWN_BY = "1.32."  # the page of ComfyUI 0.3.75; later ones draw the same graph with other boxes
TEXT_WIDTH = """() => {
    const canvas = document.createElement('canvas').getContext('2d');
    canvas.font = '100px Arial, sans-serif';
    return canvas.measureText('Video LDM, 0123456789').width;
}"""
WIDTH = 1104.6  # of Liberation Sans


@pytest.fixture(scope="module")
def page(editor, server):
    """A page of graphs alone, of the version and in the fonts of the thumbnails."""
    if not (shown := version("comfyui-frontend-package")).startswith(DRAWN_BY):
        pytest.skip(
            f"the thumbnails are drawn by a page {DRAWN_BY}x, this one is {shown} and has other boxes"
        )
    page = editor.page.context.browser.new_page()
    try:
        bare = Editor(page, server.url)
        if abs(page.evaluate(TEXT_WIDTH) - WIDTH) > 1:
            pytest.skip("this machine has other fonts than the one that made the thumbnails")
        thumbnails.show_graphs_alone(bare)
        yield bare
    finally:
        page.close()


def saved(name: str) -> dict:
    """A graph in workflows/."""
    return json.loads((thumbnails.WORKFLOWS / f"{name}.json").read_text("utf-8"))


def difference(page: Editor, workflow: dict, name: str) -> float:
    """Largest difference of a window between a graph in the page and the thumbnail of a name."""
    path = thumbnails.WORKFLOWS / f"{name}.json"
    shown = thumbnails.encoded(thumbnails.photograph(page, workflow), thumbnails.stored_fingerprint(path))
    with Image.open(io.BytesIO(shown)) as new, Image.open(path.with_suffix(".jpg")) as old:
        assert new.size == old.size
        off = np.abs(np.asarray(new, float) - np.asarray(old, float)).mean(-1)
    high, wide = (side // step for side, step in zip(off.shape, WINDOW, strict=True))
    whole = off[: high * WINDOW[0], : wide * WINDOW[1]]
    return whole.reshape(high, WINDOW[0], wide, WINDOW[1]).mean((1, 3)).max()


@pytest.mark.parametrize("name", GRAPHS)
def test_it_is_what_the_page_shows(page, name):
    assert difference(page, saved(name), name) < LIMIT


CHANGES = {
    "moved": lambda node: node["pos"].__setitem__(1, node["pos"][1] + 10),
    "renamed": lambda node: node.update(title="Video sampler"),
    "bypassed": lambda node: node.update(mode=4),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_node_would_be_seen(page, change):
    workflow = saved(GRAPHS[0])
    CHANGES[change](next(node for node in workflow["nodes"] if node["type"] == "VLDM_VideoKSampler"))
    assert difference(page, workflow, GRAPHS[0]) > LIMIT
