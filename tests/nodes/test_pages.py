"""Help pages: one for every node, with every input and output, a picture that exists, and messages the code has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from video_ldm.tests.messages import ROW, in_the_code, section

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "web" / "docs"
PICTURE = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")
SEEDS = ("seed",)  # 0 to 2^64 - 1, which pages write as a power
LISTED_BY_THE_HOST = ("file", "sampler_name", "scheduler")
TOTAL_SIZE = 1_500_000


def page_of(name: str) -> str:
    """Text of a node's page."""
    return (PAGES / f"{name}.md").read_text("utf-8")


def test_every_node_has_a_page_and_every_page_a_node(schemas):
    assert {path.stem for path in PAGES.glob("*.md")} == set(schemas)


def test_a_page_has_every_input_and_no_other(schemas):
    for name, node in schemas.items():
        inputs = [part.id for part in node.GET_SCHEMA().inputs]
        assert ROW.findall(section(page_of(name), "Inputs")) == inputs, name


def test_a_page_has_every_output(schemas):
    for name, node in schemas.items():
        outputs = [part.display_name or part.get_io_type() for part in node.GET_SCHEMA().outputs]
        assert ROW.findall(section(page_of(name), "Outputs")) == outputs, name


def test_a_page_is_titled_as_its_node_and_says_what_to_connect(schemas):
    for name, node in schemas.items():
        page = page_of(name)
        assert page.startswith(f"# {node.GET_SCHEMA().display_name}\n"), name
        assert section(page, "Goes with").strip(), name


def rows_of(name: str) -> dict[str, str]:
    """The line of each input in a page."""
    lines = section(page_of(name), "Inputs").splitlines()
    return {line.split("`")[1]: line for line in lines if line.startswith("| `")}


def numbers(text: str) -> set[float]:
    """Every number a text names."""
    return {float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", text)}


def test_a_page_names_the_range_and_default_of_every_number(schemas):
    for name, node in schemas.items():
        rows = rows_of(name)
        for part in node.GET_SCHEMA().inputs:
            if part.get_io_type() in ("INT", "FLOAT") and part.id not in SEEDS:
                assert {part.min, part.max, part.default} <= numbers(rows[part.id]), (name, part.id)


def test_a_page_names_every_choice(schemas):
    """Files, and the host's own samplers and schedulers, are listed by the host."""
    for name, node in schemas.items():
        page = page_of(name)
        for part in node.GET_SCHEMA().inputs:
            if part.get_io_type() == "COMBO" and part.id not in LISTED_BY_THE_HOST:
                missing = [choice for choice in part.options if choice not in page]
                assert not missing, (name, part.id, missing)


def test_a_page_shows_a_small_picture(schemas):
    for name in schemas:
        pictures = PICTURE.findall(page_of(name))
        assert pictures, name
        for picture in pictures:
            with Image.open(PAGES / picture) as image:
                image.verify()
    assert sum(path.stat().st_size for path in PAGES.rglob("*.*")) < TOTAL_SIZE


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_messages_are_those_of_the_code(path):
    messages = ROW.findall(section(path.read_text("utf-8"), "Messages"))
    assert messages
    assert not [message for message in messages if not in_the_code(message)]
