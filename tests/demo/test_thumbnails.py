"""Each graph has a thumbnail; `python -m video_ldm.demo.thumbnails` makes them anew."""

from __future__ import annotations

import pytest
from PIL import Image, ImageFont
from video_ldm.demo import environment, thumbnails

WIDTH = 128  # pixels of a drawn frame
GRAPHS = sorted(thumbnails.WORKFLOWS.glob("*.json"))


def test_every_graph_has_one_and_none_is_left_over():
    names = {path.stem for path in GRAPHS}
    assert {path.stem for path in thumbnails.WORKFLOWS.glob("*.jpg")} == names == set(thumbnails.CARDS)


def test_frames_stand_side_by_side_and_a_shorter_clip_waits():
    red, blue = (Image.new("RGB", (128, 146), colour) for colour in ("red", "blue"))
    made = thumbnails.beside_one_another([[red, blue], [red]])
    assert [frame.size for frame in made] == [(528, 292)] * 2
    assert [made[1].getpixel((x, 9)) for x in (9, 500)] == [(0, 0, 255), (255, 0, 0)]


@pytest.mark.parametrize("name", [name for name, card in thumbnails.CARDS.items() if isinstance(card, list)])
def test_captions_are_as_wide_as_their_frames_at_most(name):
    font = ImageFont.load_default(11)
    for panel in thumbnails.CARDS[name]:
        assert 1 + font.getlength(panel.caption) <= WIDTH, panel.caption


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.stem)
def test_it_moves_and_is_small(path):
    card = path.with_suffix(".jpg")
    assert card.stat().st_size <= thumbnails.MAX_BYTES
    with Image.open(card) as picture:
        assert picture.is_animated and min(picture.size) >= thumbnails.SIDE


def test_pictures_in_the_repository_stay_below_20_megabytes():
    files = [path for folder in ("workflows", "web") for path in (environment.REPO / folder).rglob("*.*")]
    pictures = [path for path in files if path.suffix in (".jpg", ".png", ".webp", ".gif", ".mp4")]
    assert len(pictures) > 50
    assert sum(path.stat().st_size for path in pictures) < 20_000_000
