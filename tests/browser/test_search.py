"""The page's own search, asked for what artists call things elsewhere: the right node is among the first."""

from __future__ import annotations

import json

import pytest

FIRST = 8  # what the list shows without scrolling
FOUND = {
    "animatediff": "LoadTemporalLayers",
    "camera": "LoadMotionLoRA",
    "cfg schedule": "GuidanceSchedule",
    "contact sheet": "TemporalVAEDecode",
    "context": "VideoWindows",
    "deflicker": "LoadTemporalDecoder",
    "fps": "LoadVideoFrames",
    "frame rate": "FrameRate",
    "freeinit": "InitialNoise",
    "gif": "RenderVideo",
    "image to video": "KnownFrames",
    "in-between": "LatentInterpolate",
    "keyframes": "KnownFrames",
    "long video": "ExtendVideo",
    "loop": "VideoWindows",
    "motion lora": "LoadMotionLoRA",
    "motion module": "LoadTemporalLayers",
    "motion strength": "MotionStrength",
    "mp4": "RenderVideo",
    "multival": "MotionStrength",
    "pia": "ImageMotion",
    "prompt travel": "PromptSchedule",
    "resample": "FrameRate",
    "save frames": "RenderVideo",
    "seconds": "EmptyClip",
    "sparsectrl": "LoadSparseControl",
    "svd": "LoadVideoModel",
    "temporal vae": "TemporalVAEDecode",
    "text to video": "VideoKSampler",
    "tween": "LatentInterpolate",
    "vid2vid": "LoadVideoFrames",
}
BY_ALIAS = ("keyframes", "motion module")  # more words than the first 30 letters of a name have room for
BLUEPRINTS = {"keyframes": "Keyframes to 113 Frames"}  # where the host has them, in place of the node
OPEN = "() => app.extensionManager.command.execute('Workspace.SearchBox.Toggle')"
TITLES = "() => [...document.querySelectorAll('[role=option]')].map(option => option.innerText)"


@pytest.fixture(scope="module")
def suggested(editor):
    """Texts of the suggestions for each of the words, typed into the search box."""
    page, shown = editor.page, {}
    page.evaluate("() => app.graph.clear()")
    page.evaluate(OPEN)
    for words in FOUND:
        page.keyboard.press("Control+A")
        page.keyboard.type(words)
        page.wait_for_timeout(600)
        shown[words] = page.evaluate(TITLES)
    page.keyboard.press("Escape")
    return shown


def test_words_of_artists_find_the_node(suggested, node_info):
    has_aliases = any("search_aliases" in node for node in node_info.values())

    def is_seen(words: str, node: str) -> bool:
        names = {node_info[f"VLDM_{node}"]["display_name"], BLUEPRINTS.get(words)} - {None}
        return any(name in text for name in names for text in suggested[words][:FIRST])

    asked = {words: node for words, node in FOUND.items() if has_aliases or words not in BY_ALIAS}
    missed = {words: suggested[words][:FIRST] for words, node in asked.items() if not is_seen(words, node)}
    assert not missed, json.dumps(missed, indent=1)
