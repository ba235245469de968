"""Camera moves over pictures: even, below a pixel exact, and the way that they are called."""

from __future__ import annotations

import math

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.training.data import camera
from video_ldm.temporal.training.data.camera import MOVES, camera_clip

SIZE, FRAMES = (48, 32), 7


def blob(x: float, y: float, side: int = 160) -> torch.Tensor:
    """A picture with a soft spot at a place, in parts of its half width from the middle."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    middle = (side - 1) / 2
    distance = (columns - middle * (1 + x)) ** 2 + (rows - middle * (1 + y)) ** 2
    return torch.exp(-distance / 2 / 6**2)[..., None].expand(-1, -1, 3)


def path(clip: torch.Tensor) -> torch.Tensor:
    """Places of the spot in each frame, (f 2) pixels from the middle: right, down."""
    weight = clip[..., 0].double()
    height, width = weight.shape[1:]
    x, y = torch.arange(width) - (width - 1) / 2, torch.arange(height) - (height - 1) / 2
    total = weight.sum((1, 2))
    return torch.stack([(weight.sum(1) * x).sum(1) / total, (weight.sum(2) * y).sum(1) / total], dim=1)


@pytest.mark.parametrize(("name", "way"), [
    ("pan_left", (1, 0)), ("pan_right", (-1, 0)), ("tilt_up", (0, 1)), ("tilt_down", (0, -1)),
])  # fmt: skip
def test_a_pan_moves_what_is_seen_the_other_way_evenly(name, way):
    moved = path(camera_clip(blob(0, 0), MOVES[name], FRAMES, SIZE)).diff(dim=0)
    expected = 0.3 * torch.tensor(SIZE) / (FRAMES - 1) * torch.tensor(way)
    torch.testing.assert_close(moved, expected.double().expand(FRAMES - 1, 2), atol=0.03, rtol=0)


@pytest.mark.parametrize(("name", "factor"), [("zoom_in", 1.4), ("zoom_out", 1 / 1.4)])
def test_a_zoom_grows_by_the_same_factor_every_frame(name, factor):
    places = path(camera_clip(blob(0.2, 0), MOVES[name], FRAMES, SIZE))[:, 0]
    torch.testing.assert_close(
        places[1:] / places[:-1],
        torch.full((FRAMES - 1,), factor ** (1 / (FRAMES - 1))).double(),
        atol=0.02,
        rtol=0,
    )


@pytest.mark.parametrize(("name", "degrees"), [("roll_left", -20), ("roll_right", 20)])
def test_a_roll_turns_the_picture_the_other_way(name, degrees):
    places = path(camera_clip(blob(0.25, 0), MOVES[name], FRAMES, SIZE))
    angles = torch.rad2deg(torch.atan2(places[:, 1], places[:, 0]))
    torch.testing.assert_close(
        angles[-1] - angles[0], torch.tensor(float(degrees)).double(), atol=0.5, rtol=0
    )
    assert angles.diff().std() < 0.1


def test_a_static_camera_shows_the_same_frame():
    clip = camera_clip(torch.rand(60, 80, 3), MOVES["static"], 3, SIZE)
    assert clip.shape == (3, 32, 48, 3)
    assert torch.equal(clip[0], clip[1]) and torch.equal(clip[0], clip[2])


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("shape", [(64, 160), (160, 64), (300, 300)])
def test_no_move_leaves_the_picture_or_stays_far_from_its_edge(name, shape):
    move, (rows, columns) = MOVES[name], shape
    side = camera._window_width(move, columns, rows, SIZE[0] / SIZE[1])
    places = [camera._places(move, progress, side, shape, SIZE) for progress in (0.0, 0.5, 1.0)]
    reach = torch.stack(places).abs().amax((0, 1, 2))
    assert reach.max() <= 1 and reach.max() > 0.95


def test_a_picture_that_is_too_small_is_refused():
    with pytest.raises(InvalidInputError, match="A picture of 20 x 20 pixels is too small for this move"):
        camera_clip(torch.rand(20, 20, 3), MOVES["zoom_in"], 4, SIZE)
    assert math.isfinite(camera_clip(torch.rand(60, 60, 3), MOVES["zoom_in"], 4, SIZE).sum())
