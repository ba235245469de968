"""Solids: the camera goes around them once, what is behind is hidden, and light stays in the world."""

import numpy as np
import pytest
from video_ldm.demo.world.scene import COLORS
from video_ldm.demo.world.solids import SOLIDS, Solid, orbit, render_views, sample_solid

CUBE = Solid("cube", ("red", "yellow", "green", "cyan", "blue", "purple"), turn=45.0)


def shares(picture: np.ndarray) -> dict[str, float]:
    """Share of a picture that each colour has, lit or not."""
    found = {}
    for name, colour in COLORS.items():
        ways = picture / np.maximum(np.linalg.norm(picture, axis=-1, keepdims=True), 1)
        found[name] = float(((ways @ (np.array(colour) / np.linalg.norm(colour))) > 0.995).mean())
    return found


def test_once_around_ends_where_it_began():
    views = render_views(CUBE, orbit(9, 20.0))
    assert views.shape == (9, 64, 64, 3) and np.array_equal(views[0], views[-1])
    assert len({view.tobytes() for view in views}) == 8
    assert all((view[[0, -1]] == 255).all() and (view[:, [0, -1]] == 255).all() for view in views)


def test_the_four_walls_come_one_after_the_other_and_the_top_with_height():
    walls = [
        max(shares(view).items(), key=lambda item: item[1])[0] for view in render_views(CUBE, orbit(5, 0.0))
    ]
    places = np.array([CUBE.colours.index(wall) for wall in walls])
    assert set(np.diff(places) % 4) in ({1}, {3}) and places.max() < 4
    low, high, below = (shares(render_views(CUBE, [(0.0, height)])[0]) for height in (0.0, 50.0, -50.0))
    assert low["purple"] == 0 and high["purple"] > 0.03 and high["blue"] == 0
    assert below["blue"] > 0.03 and below["purple"] == 0


def test_the_camera_goes_to_the_right():
    """A camera that goes to the right has in front of it what was on the right."""
    corner = Solid("cube", CUBE.colours, turn=10.0)
    start, quarter = render_views(corner, [(0.0, 0.0), (60.0, 0.0)])
    right = {name for name, share in shares(start[:, 34:]).items() if share > 0.02} - {
        name for name, share in shares(start[:, :30]).items() if share > 0.02
    }
    assert len(right) == 1 and shares(quarter)[right.pop()] > 0.05


@pytest.mark.parametrize("kind", SOLIDS)
def test_every_solid_is_closed(kind):
    """From everywhere, its outline has no hole: what a face hides is another face."""
    import cv2

    colours = ("red", "yellow", "green", "cyan", "blue", "purple")[: len(SOLIDS[kind][1])]
    for view in render_views(Solid(kind, colours), [(a, e) for a in (0, 50, 130) for e in (-40, 0, 35)]):
        inside = (view < 250).any(axis=-1).astype(np.uint8)
        outlines, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        assert len(outlines) == 1 and inside.mean() > 0.05


def test_what_is_seen_tells_what_is_hidden():
    names = list(COLORS)
    for seed in range(20):
        solid = sample_solid(np.random.default_rng(seed))
        numbers = [names.index(colour) for colour in solid.colours]
        assert numbers == [(numbers[0] + n) % 6 for n in range(len(SOLIDS[solid.kind][1]))]


def test_shifts_move_the_solid():
    still, moved = render_views(CUBE, [(0.0, 10.0)] * 2, shifts=[0.0, 0.125])
    assert np.array_equal(np.roll(still, 8, axis=1), moved)
