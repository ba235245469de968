"""`python -m video_ldm.demo.thumbnails [GRAPH ...]`.

A picture of each graph in `workflows/`, as ComfyUI's page shows it.

The picture is the thumbnail of the template browser. It carries a fingerprint of what it shows in its
comment, so that a test can tell when a graph, or a node in it, has changed since.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from . import browser, environment
from .browser import Editor
from .comfy import Host
from .pictures import put_sources

WORKFLOWS = environment.REPO / "workflows"
OURS = "VLDM_"  # how ids of the pack's nodes begin
SCALE, MARGIN = 0.55, 10
MAX_BYTES = 80_000
SHOW = "body * { visibility: hidden } #graph-canvas, .dom-widget, .dom-widget * { visibility: visible }"
LOOK = """([scale, left, top]) => {
    app.canvas.ds.scale = scale;
    app.canvas.ds.offset = [-left, -top];
    app.canvas.setDirty(true, true);
}"""


def main(arguments: list[str] | None = None) -> None:
    """Make the thumbnails of the graphs named on the command line, or all."""
    parser = argparse.ArgumentParser("python -m video_ldm.demo.thumbnails", description=__doc__)
    parser.add_argument("graphs", nargs="*", metavar="GRAPH", help="names in workflows/, without .json")
    names = parser.parse_args(arguments).graphs or sorted(path.stem for path in WORKFLOWS.glob("*.json"))
    if browser.executable() is None:
        parser.error(f"there is no Chromium on this machine; install one of {', '.join(browser.NAMES)}")
    with (host := Host()) as client:
        put_sources(host.base / "input")
        info = client.object_info()
        with browser.open_editor(client) as editor:
            show_graphs_alone(editor)
            for name in names:
                path = WORKFLOWS / f"{name}.json"
                picture = photograph(editor, json.loads(path.read_text("utf-8")))
                file = encoded(picture, fingerprint(path, info))
                path.with_suffix(".jpg").write_bytes(file)
                print(f"{name}: {len(file) // 1024} KB", flush=True)


def show_graphs_alone(editor: Editor) -> None:
    """Hide all of the page that is no graph, for good."""
    editor.page.add_style_tag(content=SHOW)


def photograph(editor: Editor, workflow: dict[str, Any]) -> Image.Image:
    """The whole graph at a fixed scale, in a page of its size."""
    boxes = np.array([group["bounding"] for group in workflow["groups"]])
    corner = boxes[:, :2].min(0) - MARGIN
    width, height = np.ceil(((boxes[:, :2] + boxes[:, 2:]).max(0) + MARGIN - corner) * SCALE)
    editor.page.set_viewport_size({"width": int(width), "height": int(height)})
    editor.load(workflow)
    editor.page.evaluate(LOOK, [SCALE, *map(float, corner)])
    editor.page.wait_for_timeout(1500)  # texts and pictures of nodes follow the canvas with a delay
    return Image.open(io.BytesIO(editor.page.screenshot())).convert("RGB")


def encoded(picture: Image.Image, comment: str) -> bytes:
    """A thumbnail as a file with a comment, of a quality at which it stays small."""
    for quality in (75, 65, 50):
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=quality, optimize=True, progressive=True, comment=comment.encode())
        if file.tell() <= MAX_BYTES:
            break
    return file.getvalue()


def stored_fingerprint(path: Path) -> str:
    """The fingerprint in a graph's thumbnail."""
    with Image.open(path.with_suffix(".jpg")) as picture:
        return picture.info.get("comment", b"").decode()


def fingerprint(path: Path, object_info: dict[str, Any]) -> str:
    """Hash of all that a thumbnail shows: the graph, and what the pack's nodes in it say.

    `object_info` is the server's.
    """
    workflow = json.loads(path.read_text("utf-8"))
    types = sorted({node["type"] for node in workflow["nodes"] if node["type"].startswith(OURS)})
    shown = [workflow, [words(object_info[name]) for name in types]]
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


def words(node: dict[str, Any]) -> list[Any]:
    """Words on a node's box, by the server's description.

    Its title, then names and types of what it takes and gives.
    """
    taken = [
        [group, name, kind, options.get("display_name", name)]
        for group in ("required", "optional")
        for name, (kind, options) in node["input"].get(group, {}).items()
    ]
    return [node["display_name"], taken, node["output_name"], node["output"]]


if __name__ == "__main__":
    main()
