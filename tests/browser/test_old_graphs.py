"""An old graph dropped on the page.

A question, then this pack's nodes and a note, or nothing at all after a no; it runs.
"""

from __future__ import annotations

import json

import pytest
from video_ldm.nodes.graphs.convert import convert
from video_ldm.tests.graphs.examples import GRAPHS, as_ui, sampled
from video_ldm.tests.host.test_old_graphs import here

NOTE = "() => app.graph.nodes.find(node => node.type === 'MarkdownNote').widgets[0].value"
HAS_NOTE = "() => app.graph.nodes.some(node => node.type === 'MarkdownNote')"
TYPES = "() => app.graph.nodes.map(node => node.type)"
DIALOG = (
    "() => [...document.querySelectorAll('[role=dialog], [role=alertdialog]')].some(box => "
    "box.innerText.includes('AnimateDiff-Evolved'))"
)
ANSWER = """(yes) => {
    const box = [...document.querySelectorAll('[role=dialog], [role=alertdialog]')].find(
        box => box.innerText.includes('AnimateDiff-Evolved'));
    const buttons = [...box.querySelectorAll('button')].filter(button => button.innerText.trim());
    const wanted = yes ? /confirm|yes|ok/i : /cancel|no/i;
    buttons.find(button => wanted.test(button.innerText)).click();
}"""


@pytest.fixture
def dropped(editor, tmp_path):
    """Drop an old graph on the page and answer the question."""

    def drop(name, yes, saved=as_ui):
        path = tmp_path / "old.json"
        path.write_text(json.dumps(saved(here(GRAPHS[name]))), "utf-8")
        editor.page.evaluate("() => app.graph.clear()")
        editor.page.evaluate(DROP, [path.name, path.read_text("utf-8")])
        editor.page.wait_for_function(DIALOG)
        editor.page.evaluate(ANSWER, yes)
        editor.page.wait_for_function(f"() => !({DIALOG})()")
        if yes:
            editor.page.wait_for_function(HAS_NOTE)
        editor.page.wait_for_timeout(1500)
        return editor.page.evaluate(TYPES)

    from video_ldm.demo.browser import DROP

    return drop


def test_after_a_yes_nothing_is_red_and_it_runs(editor, dropped):
    types = dropped("gen1_static", True)
    assert "VLDM_LoadTemporalLayers" in types and "MarkdownNote" in types
    assert not [name for name in types if name.startswith("ADE_")]
    assert editor.problems() == []
    assert editor.queue()[0] == "execution_success"


def test_after_a_no_it_is_the_old_graph(editor, dropped):
    types = dropped("gen1_static", False)
    assert "ADE_AnimateDiffLoaderGen1" in types and "MarkdownNote" not in types
    editor.page.keyboard.press("Escape")  # what the page says of missing nodes


def test_a_graph_of_a_script_is_asked_about_too(editor, dropped):
    types = dropped("gen1_static", True, saved=dict)
    assert sorted(types) == sorted(
        [
            "MarkdownNote",
            *(node["class_type"] for node in convert(here(GRAPHS["gen1_static"])).graph.values()),
        ]
    )
    assert "Load Temporal Layers" in editor.page.evaluate(NOTE)
    assert editor.problems() == []
    assert editor.queue()[0] == "execution_success"


def test_a_graph_of_a_script_is_the_pages_own_after_a_no(editor, dropped):
    types = dropped("gen1_static", False, saved=dict)
    assert not [name for name in types if name.startswith("VLDM_")]
    editor.page.keyboard.press("Escape")  # what the page says of missing nodes


def test_other_files_go_on_to_the_page(editor):
    from video_ldm.demo.browser import DROP

    for saved in (as_ui, dict):
        editor.page.evaluate("() => app.graph.clear()")
        editor.page.evaluate(DROP, ["plain.json", json.dumps(saved(sampled("1")))])
        editor.wait_for_nodes(len(sampled("1")))
