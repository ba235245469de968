"""From keyframes to dense clips."""

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.sampling.interpolation import (
    CELLS,
    WEIGHTS,
    difference,
    lerp,
    refine,
    slerp,
    slerp_frames,
    with_still_places,
)


def keyframes(count: int) -> torch.Tensor:
    return torch.randn(count, 4, 5, 7, generator=torch.Generator().manual_seed(0))


def line(_number, start, end):
    return lerp(start, end, WEIGHTS)


@pytest.mark.parametrize(("count", "expected"), [(2, 5), (3, 9), (8, 29), (29, 113)])
def test_counts_and_given_frames(count, expected):
    given = keyframes(count)
    clip = refine(given, line)
    assert len(clip) == expected
    assert torch.equal(clip[::4], given)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_loop_leads_back_to_the_first_frame(count):
    given = keyframes(count)
    clip = refine(given, line, loop=True)
    assert len(clip) == 4 * count and torch.equal(clip[::4], given)
    torch.testing.assert_close(clip[-2], (given[-1] + given[0]) / 2)


def test_each_pair_is_filled_with_its_own_ends():
    seen = []

    def fill(number, start, end):
        seen.append((number, start, end))
        return line(number, start, end)

    given = keyframes(3)
    refine(given, fill)
    assert [number for number, *_ in seen] == [0, 1]
    assert torch.equal(seen[1][1], given[1]) and torch.equal(seen[1][2], given[2])


def test_nothing_is_blended_across_a_cut():
    scenes = keyframes(2)
    given = torch.stack([scenes[0], 1.1 * scenes[0], scenes[1], 0.9 * scenes[1]])
    clip = refine(given, line, cut_threshold=1.0)
    assert torch.equal(clip[5:8], torch.stack([given[1], given[1], given[2]]))
    torch.testing.assert_close(clip[2], (given[0] + given[1]) / 2)
    torch.testing.assert_close(clip[10], (given[2] + given[3]) / 2)


def test_difference():
    one, two = keyframes(2)
    assert difference(one, one) == 0
    assert difference(one, 1.05 * one) < 0.6
    assert 1 < difference(one, two) < 2
    assert 1 < difference(torch.ones(4, 3, 3), -torch.ones(4, 3, 3)) < 2
    assert difference(torch.ones(4, 3, 3), torch.ones(4, 3, 3)) == 0
    assert difference(1e6 * torch.ones(4, 1, 1), one[:, :1, :1]) <= 2


@pytest.mark.parametrize("size", [(5, 7), (12, 24), (48, 60)])
def test_difference_does_not_ask_where_things_are(size):
    """Nor in what unit the latents are, nor which frame is first."""
    one, two = torch.randn(2, 4, *size, generator=torch.Generator().manual_seed(0)).cumsum(-1).cumsum(-2)
    cell = [max(1, length // CELLS) for length in size]
    assert difference(one, one.roll(cell, dims=(-2, -1))) < 1e-5
    assert difference(one, two) == pytest.approx(difference(10 * two, 10 * one), rel=1e-4)


def test_slerp_keeps_lengths_and_turns_evenly():
    start, end = torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0])
    thirds = slerp(start, end, torch.tensor([0.0, 1 / 3, 2 / 3, 1.0]))
    angles = torch.atan2(thirds[:, 1], thirds[:, 0])
    torch.testing.assert_close(angles, torch.pi / 2 * torch.tensor([0, 1 / 3, 2 / 3, 1]))
    torch.testing.assert_close(thirds.norm(dim=1), torch.tensor([2.0, 8 / 3, 10 / 3, 4.0]))


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0])
def test_slerp_is_straight_where_there_is_no_arc(factor):
    start = torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(slerp(start, factor * start, WEIGHTS), lerp(start, factor * start, WEIGHTS))


def test_slerp_of_frames_keeps_their_energy():
    """The straight line between unrelated frames is too weak half way; the arc is not."""
    start, end = keyframes(2)
    middle = slerp_frames(start, end)[1]
    assert middle.std() == pytest.approx(float(start.std() + end.std()) / 2, rel=0.05)


def test_zeros_stay_finite():
    assert bool(slerp(torch.zeros(3), torch.zeros(3), WEIGHTS).isfinite().all())


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_keyframes(count):
    with pytest.raises(InvalidInputError, match=f"at least 2 keyframes, but the clip has {count}"):
        refine(keyframes(count), line)


def test_difference_is_the_same_for_twice_the_channels():
    start, end = keyframes(2)
    twice = (torch.cat([frame, frame]) for frame in (start, end))
    assert difference(*twice) == pytest.approx(difference(start, end), rel=1e-4)


def still_and_moving() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Keyframes alike but for their right end, and frames in between with grain and a thing that passes."""
    ground, grain = torch.randn(4, 12, 16, generator=torch.Generator().manual_seed(1)), torch.Generator()
    start, end = ground.clone(), ground.clone()
    end[..., 13:] += 3
    frames = slerp_frames(start, end) + 0.02 * torch.randn(3, 4, 12, 16, generator=grain.manual_seed(2))
    frames[1, :, 3:7, 3:7] += 2
    return frames, start, end


def test_still_places_look_as_in_the_keyframes():
    frames, start, end = still_and_moving()
    held, blended = with_still_places(frames, start, end, 0.35), slerp_frames(start, end)
    still = (slice(None), slice(None), slice(8, None), slice(None, 11))
    assert (held - blended)[still].abs().max() < 0.02 * (frames - blended)[still].abs().max()


def test_what_passes_or_differs_from_keyframe_to_keyframe_is_left_as_it_was_made():
    frames, start, end = still_and_moving()
    held = with_still_places(frames, start, end, 0.35)
    torch.testing.assert_close(held[1, :, 3:7, 3:7], frames[1, :, 3:7, 3:7], atol=1e-3, rtol=0)
    torch.testing.assert_close(held[..., 13:], frames[..., 13:], atol=1e-3, rtol=0)
    # the same place is still before and after
    assert not torch.allclose(held[0, :, 3:7, 3:7], frames[0, :, 3:7, 3:7], atol=1e-3)


def test_what_is_still_does_not_depend_on_the_unit_of_the_latents():
    frames, start, end = still_and_moving()
    ten_times = with_still_places(10 * frames, 10 * start, 10 * end, 0.35)
    torch.testing.assert_close(ten_times, 10 * with_still_places(frames, start, end, 0.35))


def test_frames_stay_as_sampled_where_nothing_counts_as_still():
    frames, start, end = still_and_moving()
    assert torch.equal(with_still_places(frames, start, end, 0.0), frames)
    plain = torch.ones(4, 3, 3)
    assert with_still_places(plain.expand(3, 4, 3, 3) + 0.1, plain, plain, 1.0).isfinite().all()
