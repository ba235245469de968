"""Every graph in workflows/ as an artist opens it.

Nothing red, and a finished video in the node at the end.
"""

from __future__ import annotations

import json

import pytest
from video_ldm.tests.host.test_workflows import ENLARGED, SHORT, SIDE, SMALL, WORKFLOWS

every_graph = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)

VIDEO = """() => {
    const end = app.graph.nodes.find(node => ['SaveVideo', 'VLDM_RenderVideo'].includes(node.type));
    const prefix = end.widgets.find(widget => widget.name === 'filename_prefix').value.split('/').pop();
    const video = [...document.querySelectorAll('video')].find(
        video => video.videoWidth > 0 && video.currentSrc.includes('type=output')
            && video.currentSrc.includes(prefix));
    return video && [video.videoWidth, video.videoHeight, video.duration];
}"""
BOXES = """() => app.graph.nodes.map(node => {
    const [x, y, width, height] = node.getBounding();
    return [`${node.title} (node ${node.id})`, x, y, x + width, y + height];
})"""
# The words on a node, by its type, and the sizes of the pictures on it.
ON_NODES = """() => Object.fromEntries(app.graph.nodes.map(node => [node.type, [
    node.widgets?.find(widget => widget.name === '$$node-text-preview')?.value ?? '',
    (node.imgs ?? []).map(image => [image.naturalWidth, image.naturalHeight])]]))"""
CLIPPED = """() => [...document.querySelectorAll('.comfy-markdown .tiptap')].filter(note => {
    const last = note.lastElementChild?.getBoundingClientRect();
    const page = note.closest('.comfy-markdown');
    return last && note.clientHeight && last.bottom > page.getBoundingClientRect().bottom + 1;
}).length"""


def saved(path) -> dict:
    """A graph in workflows/."""
    return json.loads(path.read_text("utf-8"))


# What the page sends of every graph is what `host/test_workflows.py` runs (`test_graphs.py`); these show
# every kind of end and of progress on the way.
SHOWN = ("image_to_video", "long_video", "text_to_video", "whole_cascade")
shown_graphs = pytest.mark.parametrize(
    "path", [path for path in WORKFLOWS if path.stem in SHOWN], ids=lambda path: path.stem
)


def overlap(one: list, other: list) -> bool:
    """True if two boxes (name, left, top, right, bottom) share more than an edge."""
    return all(max(one[i], other[i]) < min(one[i + 2], other[i + 2]) for i in (1, 2))


def inside(box: list, group: list) -> bool:
    """True if a box lies in a group (left, top, width, height)."""
    left, top, width, height = group
    return left <= box[1] and top <= box[2] and box[3] <= left + width and box[4] <= top + height


@every_graph
def test_it_opens_when_dropped_on_the_page_and_is_laid_out_well(editor, path):
    editor.drop(path)
    assert editor.problems() == []
    boxes = editor.page.evaluate(BOXES)
    assert not [(a[0], b[0]) for a in boxes for b in boxes if a[0] < b[0] and overlap(a, b)]
    groups = [group["bounding"] for group in saved(path)["groups"]]
    assert not [box[0] for box in boxes if sum(inside(box, group) for group in groups) != 1]
    assert editor.page.evaluate(CLIPPED) == 0


@pytest.mark.parametrize("path", WORKFLOWS[::6], ids=lambda path: path.stem)
def test_it_opens_from_the_template_browser(editor, path):
    """Some of them, as this takes five times as long; all of them are on the server's list."""
    editor.open_template("comfyui-video-ldm", path.stem, len(saved(path)["nodes"]))
    assert editor.problems() == []


def test_every_graph_is_in_the_template_browser(server):
    assert set(server.get("/workflow_templates")["comfyui-video-ldm"]) == {path.stem for path in WORKFLOWS}


@shown_graphs
def test_it_runs_and_shows_the_finished_video(editor, path):
    editor.load(saved(path))
    editor.set_values(SMALL)
    if path.stem in SHORT:
        editor.set_values({"EmptyLatentImage": {"batch_size": SHORT[path.stem]}})
        editor.set_values({"VLDM_EmptyClip": {"seconds": SHORT[path.stem] / 8}})
    assert editor.queue() == ("execution_success", "")
    editor.page.wait_for_function(VIDEO)
    width, height, seconds = editor.page.evaluate(VIDEO)
    side = SIDE * ENLARGED.get(path.stem, 1)
    assert (width, height) == (side, side)
    assert seconds > 0.1
    assert editor.problems() == []


def test_reports_and_the_clip_above_its_sheet_are_on_the_nodes(editor):
    editor.load(saved(next(path for path in WORKFLOWS if path.stem == "text_to_video")))
    new = {"VLDM_LoadTemporalLayers": {"strength": 0.93}}  # what did not change says nothing again
    editor.set_values({**SMALL, **new})
    assert editor.queue() == ("execution_success", "")
    editor.page.wait_for_function(f"() => ({ON_NODES})().VLDM_TemporalVAEDecode[1].length")
    nodes = editor.page.evaluate(ON_NODES)
    assert nodes["VLDM_LoadTemporalLayers"][0].startswith("Video LDM")
    [(width, height)] = nodes["VLDM_TemporalVAEDecode"][1]
    assert width == 512 < height


def test_what_is_wrong_is_seen(editor):
    """The checks above can fail."""
    workflow = saved(WORKFLOWS[0])
    by_type = {node["type"]: node for node in workflow["nodes"]}
    by_type["CheckpointLoaderSimple"]["widgets_values"] = ["gone.safetensors"]
    by_type["CreateVideo"]["widgets_values"] = [100000.0]
    by_type["SaveVideo"]["type"] = "NoSuchNode"
    editor.load(workflow)
    dialog = editor.page.locator("[role=dialog]")
    for _ in range(20):  # newer pages say it in a corner, and there is nothing to close
        if dialog.count():
            break
        editor.page.wait_for_timeout(250)
    problems = "\n".join(editor.problems())
    editor.page.keyboard.press("Escape")
    editor.page.wait_for_selector("[role=dialog]", state="hidden")
    assert "NoSuchNode" in problems
    assert 'ckpt_name is "gone.safetensors"' in problems


def test_help_shows_the_page_with_its_picture(editor):
    editor.load(saved(next(path for path in WORKFLOWS if path.stem == "text_to_video")))
    text = editor.open_help("VLDM_VideoKSampler")
    assert "denoise" in text and "Messages" in text
    assert "context_guidance" not in text  # folded
    editor.page.wait_for_function(
        "() => [...document.querySelectorAll('.node-help-content img')].some(image => image.naturalWidth > "
        "100)"
    )
    folds = editor.page.locator(".node-help-content details")
    assert folds.count() == 2 and not folds.last.get_by_role("listitem").first.is_visible()
    for summary in editor.page.locator(".node-help-content summary").all():
        summary.evaluate("fold => fold.click()")  # no click at a place: see `Editor.open_help`
    assert folds.last.get_by_role("listitem").first.is_visible()
    wide, narrow = editor.page.evaluate(
        "() => { const page = document.querySelector('.node-help-content'); return [page.scrollWidth, "
        "page.clientWidth]; }"
    )
    assert wide == narrow < 400
