"""Batches for an upscaler in latents.

Patches that fit each other, and small frames as noisy as they are said to be.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.training.data.cache import open_cache
from video_ldm.temporal.training.data.conditions import NOTHING
from video_ldm.temporal.training.data.enlarging import Enlarging, PatchSource
from video_ldm.temporal.training.data.preparing import write_cache, write_captions
from video_ldm.temporal.training.noise_levels import stable_diffusion_levels
from video_ldm.tests.temporal.training import world

HEIGHT, WIDTH, SIDE, MOST = 7, 9, 4, 350
SCHEDULE = stable_diffusion_levels("v", start=0.0001, end=0.02)


def mapped(clip: int, num_frames: int = 9) -> Tensor:
    """A clip that says of every place where it is.

    Latents (clip, frame, y, x), small frames (y, x, frame), (f 7 h w).
    """
    y, x = torch.meshgrid(torch.arange(float(HEIGHT)), torch.arange(float(WIDTH)), indexing="ij")
    frames = []
    for frame in range(num_frames):
        one = torch.ones(HEIGHT, WIDTH)
        frames.append(torch.stack([one * clip, one * frame, y, x, y, x, one * frame]))
    return torch.stack(frames)


def source(folder, clips=None, side=SIDE, **changes) -> PatchSource:
    given = [mapped(number) for number in range(5)] if clips is None else clips
    write_cache(folder, [(clip, f"clip {number % 2}", 8.0) for number, clip in enumerate(given)])
    write_captions(folder, "tiny", world.embed)
    config = world.settings(**{"batch": 32, "patterns": {"none": 1.0}, **changes})
    return PatchSource(open_cache(folder, "tiny"), config, SCHEDULE, Enlarging(side, SCHEDULE, MOST))


def test_a_patch_is_a_random_square_in_all_frames_of_a_clip(tmp_path):
    batch = source(tmp_path).draw(0)
    assert batch.latents.shape == batch.noise.shape == batch.known_latents.shape == (32 * 4, 4, SIDE, SIDE)
    corners = batch.latents[:, 2:, 0, 0].unflatten(0, (32, 4))
    assert torch.equal(corners, corners[:, :1].expand_as(corners))
    assert corners[:, 0, 0].unique().tolist() == list(range(HEIGHT - SIDE + 1))
    assert corners[:, 0, 1].unique().tolist() == list(range(WIDTH - SIDE + 1))
    steps = batch.latents[:, 2:, 1:, 1:] - batch.latents[:, 2:, :-1, :-1]
    assert bool((steps == 1).all())


def test_small_frames_are_those_of_the_patch(tmp_path):
    """Without noise: levels of a schedule that keeps all of the signal."""
    drawn = source(tmp_path)
    clean = Enlarging(SIDE, stable_diffusion_levels(start=0.0, end=0.0), MOST)
    drawn.enlarging = clean
    batch = drawn.draw(0)
    assert torch.equal(batch.conditions.low_res, batch.latents[:, [2, 3, 1]])


def test_every_clip_has_a_level_of_its_own(tmp_path):
    level = source(tmp_path).draw(0).conditions.level.unflatten(0, (32, 4))
    assert torch.equal(level, level[:, :1].expand_as(level))
    drawn = level[:, 0]
    assert len(drawn.unique()) > 20
    assert 0 <= drawn.min() < 60 and 290 < drawn.max() <= MOST


def test_small_frames_are_as_noisy_as_their_level_says(tmp_path):
    """Of black small frames there is only noise.

    Of the level's size, another in every frame, and not that of the latents.
    """
    batch = source(tmp_path, [torch.zeros(9, 7, 32, 32)] * 2, side=32).draw(0)
    sigma = (1 - SCHEDULE.alphas_cumprod[batch.conditions.level]).sqrt()
    noise = batch.conditions.low_res / sigma.view(-1, 1, 1, 1)
    torch.testing.assert_close(noise.flatten(1).std(1), torch.ones(len(noise)), rtol=0.1, atol=0)
    assert abs((noise[0] * noise[1]).mean()) < 0.1
    assert abs((noise * batch.noise[:, :3]).mean()) < 0.02


def test_batches_follow_from_seed_and_step(tmp_path):
    drawn = source(tmp_path)
    first, again, other = (drawn.draw(step) for step in (3, 3, 4))
    assert torch.equal(first.latents, again.latents)
    assert torch.equal(first.conditions.low_res, again.conditions.low_res)
    assert not torch.equal(first.conditions.level, other.conditions.level)


@pytest.mark.parametrize("side", [0, 8])
def test_patches_that_no_clip_holds_are_refused(tmp_path, side):
    with pytest.raises(InvalidInputError, match=rf"patch is {side} given pixels .* 36 x 28, .* from 1 to 7"):
        source(tmp_path, side=side)


def test_samples_are_made_from_the_middle_of_different_clips(tmp_path):
    drawn = source(tmp_path)
    assert drawn.sample_shape == (4, 4, SIDE, SIDE)
    assert drawn.sample_captions(3) == ["clip 0", "clip 1", "clip 0"]
    assert len(drawn.sample_captions(9)) == 5
    twice = drawn.sample_conditions([1, 1])
    both = twice.low_res.chunk(2)
    assert torch.equal(*both) and bool((twice.level == 20).all())
    assert not torch.equal(drawn.sample_conditions([0]).low_res, both[0])


def test_conditions_that_a_model_does_not_have_stay_away():
    assert NOTHING.to("meta") == NOTHING
