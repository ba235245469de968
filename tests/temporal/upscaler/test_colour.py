"""Frames that a decoder has tinted get the colours of those given, and keep their detail."""

from __future__ import annotations

import pytest
import torch
from einops import rearrange
from video_ldm.temporal.upscaler.colour import keep_colours
from video_ldm.temporal.upscaler.model import enlarge

FRAMES, HEIGHT, WIDTH = 5, 20, 28
STEP = 1 / 255


def given():
    """A clip (f h w 3) of soft shapes in 0.3 .. 0.7."""
    coarse = torch.rand(FRAMES, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    return 0.3 + 0.4 * rearrange(enlarge(coarse, 4).clamp(0, 1), "f c h w -> f h w c")


def enlarged(scale):
    """The clip (f H W 3) `scale` times as large, with a pattern of single pixels.

    What a faithful upscaler makes.
    """
    base = rearrange(enlarge(rearrange(given(), "f h w c -> f c h w"), scale), "f c h w -> f h w c")
    rows, columns = (torch.arange(size) % 2 for size in base.shape[1:3])
    return base + 0.05 * (2 * (rows[:, None] ^ columns) - 1)[..., None]


def tint():
    """Another colour in every frame (f 1 1 3)."""
    return 0.2 * torch.rand(FRAMES, 1, 1, 3, generator=torch.Generator().manual_seed(1)) - 0.1


def slope(frames):
    """Brightness that grows from one corner to the other (H W 1), by 0.2 in all."""
    rows, columns = (torch.linspace(-0.05, 0.05, size) for size in frames.shape[1:3])
    return (rows[:, None] + columns)[..., None]


def kept(frames):
    return torch.cat(list(keep_colours([frames], given())))


@pytest.mark.parametrize("scale", [2, 4])
def test_a_tint_is_taken_away_and_nothing_else(scale):
    faithful = enlarged(scale)
    torch.testing.assert_close(kept(faithful), faithful, rtol=0, atol=1e-5)
    torch.testing.assert_close(kept(faithful + tint()), faithful, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scale", [1, 2, 4])
def test_mean_colours_of_every_frame_are_those_of_the_given_frames(scale):
    frames = enlarged(scale) + tint() + slope(enlarged(scale))
    wanted = given().mean(dim=(1, 2))
    assert (frames.mean(dim=(1, 2)) - wanted).abs().max() > 20 * STEP
    assert (kept(frames).mean(dim=(1, 2)) - wanted).abs().max() < STEP / 2


def test_detail_stays():
    """Changes are smooth: a small part of what one pixel differs from the next."""
    frames = enlarged(4) + tint() + slope(enlarged(4))
    change = kept(frames) - frames
    assert change.abs().max() > 0.1
    for axis in (1, 2):
        assert change.diff(dim=axis).abs().max() < 0.02 * frames.diff(dim=axis).abs().max()


def test_pieces_of_any_length_give_the_same_frames_as_they_come():
    frames, taken = enlarged(2) + tint(), []

    def pieces():
        for piece in frames.split([1, 3, 1]):
            taken.append(len(piece))
            yield piece

    made = keep_colours(pieces(), given())
    first = next(made)
    assert taken == [1]
    assert torch.equal(torch.cat([first, *made]), kept(frames))


def test_frames_stay_in_range():
    made = kept((enlarged(4) - 0.5) * 4 + 0.5)
    assert made.min() == 0 and made.max() == 1
