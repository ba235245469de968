"""The help page for those who come from AnimateDiff-Evolved.

Its table is the converter's, its messages are in the code.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from video_ldm.graphs.__main__ import main
from video_ldm.nodes.graphs.table import NEIGHBOURS, OLD_NODES, REFUSED, table_text
from video_ldm.tests.messages import ITEM, errors, in_the_code, is_about, section

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "web/docs/guides/coming_from_animatediff_evolved.md").read_text("utf-8")


def test_the_table_is_that_of_the_converter_and_complete(capsys):
    assert table_text() in PAGE
    assert all(f"`{name}`" in PAGE for name in {**OLD_NODES, **NEIGHBOURS})
    assert main(["table"]) == 0 and capsys.readouterr().out.strip() == table_text()


def test_what_is_refused_says_what_to_use():
    assert all(row.note for row in OLD_NODES.values() if row.how == REFUSED)


@pytest.mark.slow
def test_every_message_is_in_the_code_and_on_the_page():
    items = ITEM.findall(section(PAGE, "Messages"))
    assert items and not [item for item in items if not in_the_code(item)]
    said = [sentence for path, sentence in errors() if path.startswith(("graphs/", "nodes/graphs/"))]
    assert said and not [sentence for sentence in said if not any(is_about(item, sentence) for item in items)]


def test_the_readme_begins_with_a_word_to_them():
    assert "AnimateDiff-Evolved" in (ROOT / "README.md").read_text("utf-8")[:1200]
