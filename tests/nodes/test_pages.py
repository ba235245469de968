"""Help pages: one for every node, with every input, output and message, and a picture that exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from video_ldm.tests.messages import FOLD, ITEM, errors, folded, in_sight, in_the_code, is_about, section

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "web" / "docs"
PICTURE = re.compile(r"!\[[^\]]+\]\(([^)]+)\)")
SEEDS = ("seed",)  # 0 to 2^64 - 1, which pages write as a power
LISTED_BY_THE_HOST = ("file", "sampler_name", "scheduler")
TOTAL_SIZE = 1_500_000
LONGEST_BEGIN = 3  # sentences before the picture
COMMANDS = "only the command line says it"
CHOICE = "the door of the node refuses what is not in the list"
RANGE = "the door of the node keeps the input in its range"
LIBRARY = "no node gives such a value"
ON_NO_PAGE = {  # files, and beginnings of sentences
    "curation/": COMMANDS,
    "evaluation/": COMMANDS,
    "temporal/curation/": COMMANDS,
    "temporal/metrics/": COMMANDS,
    "temporal/video/reading.py": COMMANDS,
    "training/": COMMANDS,
    "nodes/host/training/models.py": COMMANDS,
    "nodes/host/training/video_model/": COMMANDS,
    "temporal/training/video_model/": COMMANDS,
    "temporal/formats/convert.py": COMMANDS,
    "temporal/training/data/batches.py": COMMANDS,
    "temporal/training/data/cache.py": COMMANDS,
    "temporal/training/data/preparing.py": COMMANDS,
    "temporal/training/config.py": COMMANDS,
    "temporal/training/data/enlarging.py": COMMANDS,
    "temporal/training/data/patterns.py": COMMANDS,
    "temporal/training/data/reversal.py": COMMANDS,
    "temporal/training/decoder/perceptual.py": COMMANDS,
    " has no  spelling; it is written as": COMMANDS,
    "Buckets and images are for clips that are seen whole": COMMANDS,
    " is a prepared cache, whose clips have one size": COMMANDS,
    "All films are kept out": COMMANDS,
    "images is above 0, but the weights to change": COMMANDS,
    "images is ; give a share": RANGE,
    "images is , but clips of 1 frame": RANGE,
    "The clips in  were prepared for a model of": COMMANDS,
    " holds no VAE that ComfyUI knows": COMMANDS,
    "There is no VAE or checkpoint": COMMANDS,
    "There is no training state": COMMANDS,
    "Noise mode": CHOICE,
    "Unknown motion": CHOICE,
    "Unknown pattern": CHOICE,
    "precision is": CHOICE,
    "given_steps is ": COMMANDS,
    " is ; give 0 for none, or more.": RANGE,
    " is ; give 1 or more.": RANGE,
    "A clip lasts more than 0 seconds": RANGE,
    "A frame rate must be above 0": RANGE,
    "A step sees  patches": RANGE,
    "Enlarging needs at least 1 step": RANGE,
    "Every N-th frame needs N of 1 or more": RANGE,
    "The quality is": RANGE,
    "A clip needs at least one frame": LIBRARY,
    "Frame  is  x , but the film began with": LIBRARY,
    "Frames of  x  follow frames of": LIBRARY,
    "Known frames need both": LIBRARY,
    "Known frames were given, but these temporal layers": LIBRARY,
    "The share of noise that frames have in common": LIBRARY,
    "There is no file at": LIBRARY,
    "alpha is set for": LIBRARY,
}


def page_of(name: str) -> str:
    """Text of a node's page."""
    return (PAGES / f"{name}.md").read_text("utf-8")


def test_every_node_has_a_page_and_every_page_a_node(schemas):
    assert {path.stem for path in PAGES.glob("*.md")} == set(schemas)


def test_a_page_has_every_input_and_no_other(schemas):
    for name, node in schemas.items():
        inputs = [part.id for part in node.GET_SCHEMA().inputs]
        assert sorted(ITEM.findall(section(page_of(name), "Inputs"))) == sorted(inputs), name


def test_a_page_folds_the_inputs_that_the_node_hides(schemas):
    for name, node in schemas.items():
        listed = section(page_of(name), "Inputs")
        for is_rare, shown in ((False, in_sight(listed)), (True, folded(listed))):
            inputs = [part.id for part in node.GET_SCHEMA().inputs if _is_rare(part) == is_rare]
            assert ITEM.findall(shown) == inputs, name


def _is_rare(part) -> bool:
    return bool(part.extra_dict.get("advanced"))


def test_a_page_has_every_output(schemas):
    for name, node in schemas.items():
        outputs = [part.display_name or part.get_io_type() for part in node.GET_SCHEMA().outputs]
        assert ITEM.findall(section(page_of(name), "Outputs")) == outputs, name


def test_a_page_is_titled_as_its_node_and_says_what_to_connect(schemas):
    for name, node in schemas.items():
        page = page_of(name)
        assert page.startswith(f"# {node.GET_SCHEMA().display_name}\n"), name
        assert section(page, "Goes with").strip(), name


def test_a_page_begins_with_a_short_part(schemas):
    for name in schemas:
        begin, _, shown = page_of(name).partition("\n\n")[2].partition("\n\n![")
        assert 1 <= len(re.findall(r"\.\)?(?:\s|$)", begin)) <= LONGEST_BEGIN, name
        assert shown.split("\n\n")[2].startswith("## Inputs"), name  # behind the picture and what it shows


def test_a_page_fits_its_panel(schemas):
    """The panel has less than 300 pixels for a page: no tables, and messages are folded."""
    for name in schemas:
        page = page_of(name)
        assert not [line for line in page.splitlines() if line.startswith("|")], name
        assert not in_sight(section(page, "Messages")).strip(), name
        assert page.count("<details>") == page.count("</details>") == len(FOLD.findall(page)), name


def lines_of(name: str) -> dict[str, str]:
    """The line of each input in a page."""
    lines = section(page_of(name), "Inputs").splitlines()
    return {line.split("`")[1]: line for line in lines if line.startswith("- `")}


def numbers(text: str) -> set[float]:
    """Every number a text names."""
    return {float(found) for found in re.findall(r"-?\d+(?:\.\d+)?", text)}


def test_a_page_names_the_range_and_default_of_every_number(schemas):
    for name, node in schemas.items():
        lines = lines_of(name)
        for part in node.GET_SCHEMA().inputs:
            if part.get_io_type() in ("INT", "FLOAT") and part.id not in SEEDS:
                assert {part.min, part.max, part.default} <= numbers(lines[part.id]), (name, part.id)


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


GUIDES = [path for path in PAGES.glob("guides/*.md") if "## Messages" in path.read_text("utf-8")]


@pytest.mark.parametrize("path", sorted([*PAGES.glob("*.md"), *GUIDES]), ids=lambda path: path.stem)
def test_messages_are_those_of_the_code(path):
    messages = ITEM.findall(folded(section(path.read_text("utf-8"), "Messages")))
    assert messages
    assert not [message for message in messages if not in_the_code(message)]


def test_every_error_is_on_a_page_or_has_a_reason_not_to_be():
    items = [
        item
        for path in PAGES.rglob("*.md")
        for item in ITEM.findall(section(path.read_text("utf-8"), "Messages"))
    ]
    untold, used = [], set()
    for path, sentence in errors():
        reasons = [
            start
            for start in ON_NO_PAGE
            if f"{path}:{sentence}".startswith(start) or sentence.startswith(start)
        ]
        used |= set(reasons)
        if not reasons and not any(is_about(item, sentence) for item in items):
            untold.append((path, sentence))
    assert not untold
    assert used == set(ON_NO_PAGE)


@pytest.mark.parametrize(
    ("item", "is_one"),
    [
        ("The clip has no frames; connect a latent with at least one.", True),
        ("There is no file ... in models/..., which holds ...", True),
        ("... layers animate a given image, but none was given.", True),
        ("... is not SparseCtrl: ...", True),
        ("is not SparseCtrl", False),  # too little to find a sentence by
        ("on disk", False),
        ("The clip has no frames; connect two latents.", False),
        ("Frames decoded together; more needs more memory.", False),  # of a node's schema
        ("Raises InvalidInputError for latents the VAE cannot decode", False),  # of a docstring
    ],
)
def test_only_what_an_error_says_is_a_message(item, is_one):
    assert in_the_code(item) == is_one
