"""Noise that is related between frames."""

import pytest
import torch
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.sampling.noise import SEEDS, correlated_noise, repeat_noise, seed_of_part

FRAME = (4, 32, 32)
MODES = ("independent", "mixed", "progressive")


def correlation(noise, distance):
    one, other = noise[:-distance].flatten(), noise[distance:].flatten()
    return torch.corrcoef(torch.stack([one, other]))[0, 1].item()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("strength", [0.0, 0.4, 1.0])
def test_each_frame_is_unit_noise(mode, strength):
    noise = correlated_noise((6, *FRAME), 1, mode, strength)
    assert noise.shape == (6, *FRAME)
    assert noise.dtype == torch.float32
    for frame in noise:
        assert frame.mean().item() == pytest.approx(0, abs=0.06)
        assert frame.var().item() == pytest.approx(1, abs=0.08)


def test_mixed_relates_any_two_frames_alike():
    noise = correlated_noise((12, *FRAME), 1, "mixed", 0.6)
    assert correlation(noise, 1) == pytest.approx(0.6, abs=0.04)
    assert correlation(noise, 5) == pytest.approx(0.6, abs=0.04)


def test_progressive_forgets_with_distance():
    noise = correlated_noise((12, *FRAME), 1, "progressive", 0.6)
    assert correlation(noise, 1) == pytest.approx(0.6, abs=0.04)
    assert correlation(noise, 2) == pytest.approx(0.36, abs=0.04)
    assert correlation(noise, 5) == pytest.approx(0.08, abs=0.05)


@pytest.mark.parametrize("mode", MODES)
def test_a_frames_noise_does_not_depend_on_how_many_follow(mode):
    short, long = (correlated_noise((n, 4, 5, 7), 3, mode, 0.5) for n in (3, 8))
    assert torch.equal(short, long[:3])


@pytest.mark.parametrize("mode", MODES)
def test_the_seed_decides(mode):
    one, same, other = (correlated_noise((3, *FRAME), seed, mode, 0.5) for seed in (5, 5, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("mode", ["mixed", "progressive"])
def test_strength_0_is_independent_noise_and_1_is_the_same_for_all_frames(mode):
    assert torch.equal(correlated_noise((3, *FRAME), 2, mode, 0.0), correlated_noise((3, *FRAME), 2))
    still = correlated_noise((3, *FRAME), 2, mode, 1.0)
    assert torch.equal(still[0], still[1]) and torch.equal(still[0], still[2])


def test_independent_noise_is_the_hosts_for_the_same_seed():
    expected = torch.randn((5, *FRAME), generator=torch.manual_seed(7))
    assert torch.equal(correlated_noise((5, *FRAME), 7), expected)


def test_every_seed_of_the_host_is_accepted():
    assert correlated_noise((2, 4, 2, 2), 2**64 - 1, "mixed", 0.5).isfinite().all()
    assert torch.equal(correlated_noise((5, *FRAME), 2**64 + 7), correlated_noise((5, *FRAME), 7))


def test_wrong_values_are_refused():
    with pytest.raises(InvalidInputError, match=r"must lie in 0\.\.1, but it is 1\.5"):
        correlated_noise((2, *FRAME), 0, "mixed", 1.5)
    with pytest.raises(InvalidInputError, match="'brown' is unknown"):
        correlated_noise((2, *FRAME), 0, "brown", 0.5)


@pytest.mark.parametrize(("num_frames", "length", "overlap"), [(13, 4, 2), (12, 8, 0), (5, 8, 4), (9, 4, 3)])
def test_repeated_noise_is_the_first_window_again(num_frames, length, overlap):
    noise = torch.arange(num_frames).float().reshape(-1, 1, 1, 1)
    repeated = repeat_noise(noise, length, overlap).flatten().tolist()
    assert repeated[:length] == noise.flatten().tolist()[:length]
    assert set(repeated) <= set(range(length))
    step = length - overlap
    for start in range(length, num_frames - step + 1, step):
        assert sorted(repeated[start : start + step]) == sorted(repeated[start - length : start - overlap])


@pytest.mark.parametrize("seed", [0, 7, 2**40 + 5, SEEDS - 1])
def test_parts_of_a_clip_have_noise_of_their_own(seed):
    """Not only seeds of their own: a generator on the CPU reads 32 bits of 64."""
    seeds = [seed_of_part(seed, number) for number in range(40)]
    first = {correlated_noise((1, 1, 1, 2), own).sum().item() for own in seeds}
    assert len(first) == 40 and seeds[0] == seed and all(0 <= own < SEEDS for own in seeds)
    shared = {correlated_noise((1, 1, 1, 2), seed, "mixed", 1.0).sum().item()}
    assert not first & shared
