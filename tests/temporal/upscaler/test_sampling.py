"""Enlarging: independent of chunks and tiles, bounded in memory, true to the colours given."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch.nn import functional
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.upscaler import UpscaleSettings, VideoUpscaler, upscale
from video_ldm.temporal.upscaler.colour import hold_colours
from video_ldm.temporal.upscaler.noise import add_noise, frame_noise, split, velocity
from video_ldm.temporal.upscaler.tiles import tiles_along
from video_ldm.temporal.upscaler.windows import fused
from video_ldm.tests.temporal.upscaler.tiny import TINY, moving_clip, random_upscaler

SETTINGS = UpscaleSettings(steps=3, seed=3, overlap=2, noise_level=0.2)


@torch.no_grad()
def enlarge(frames, settings=SETTINGS, upscaler=None, chunks=None):
    upscaler = upscaler or random_upscaler()
    parts = frames.split(chunks or len(frames))
    return torch.cat(list(upscale(upscaler, upscaler.config, parts, settings)))


@pytest.mark.parametrize("num_frames", [1, 3, 4, 5, 11])
@pytest.mark.parametrize("size", [(6, 10), (7, 5)])
def test_every_frame_comes_out_once_four_times_as_large(num_frames, size):
    frames = moving_clip(num_frames, *size)
    made = enlarge(frames)
    assert made.shape == (num_frames, 4 * size[0], 4 * size[1], 3)
    assert made.min() >= 0 and made.max() <= 1


@pytest.mark.slow
def test_chunks_make_no_difference():
    frames = moving_clip(11, 6, 8)
    whole = enlarge(frames)
    for chunks in (1, 2, 5):
        assert torch.equal(enlarge(frames, chunks=chunks), whole)


@pytest.mark.slow
@pytest.mark.parametrize("tile", [19, 34])
def test_tiles_make_no_difference(tile):
    frames, settings = moving_clip(3, 62, 47), replace(SETTINGS, steps=2)
    whole = enlarge(frames, settings)
    torch.testing.assert_close(enlarge(frames, replace(settings, tile=tile)), whole, atol=1e-4, rtol=0)


@pytest.mark.slow
def test_a_frame_far_from_the_end_does_not_depend_on_it():
    frames = moving_clip(23, 4, 4)
    short, long = (enlarge(frames[:count], replace(SETTINGS, steps=2)) for count in (19, 23))
    assert torch.equal(short[:11], long[:11])


@pytest.mark.slow
def test_few_frames_wait_at_a_time():
    """While a long clip passes through, no more than a window per step is read ahead."""
    upscaler, taken = random_upscaler(), 0

    def source():
        nonlocal taken
        for frame in moving_clip(60, 2, 2):
            taken += 1
            yield frame[None]

    with torch.no_grad():
        for number, _ in enumerate(upscale(upscaler, TINY, source(), SETTINGS)):
            assert taken - number <= (TINY.max_frames + 1) * SETTINGS.steps + 1
    assert taken == 60


def test_the_seed_decides():
    frames = moving_clip(3, 4, 4)
    first, same, other = (enlarge(frames, replace(SETTINGS, seed=seed)) for seed in (3, 3, 4))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_noise_belongs_to_the_frame():
    assert torch.equal(frame_noise((3, 4, 4), 1, 0, 7), frame_noise((3, 4, 4), 1, 0, 7))
    draws = [
        frame_noise((3, 64, 64), seed, stream, frame)
        for seed, stream, frame in ((1, 0, 7), (2, 0, 7), (1, 1, 7), (1, 0, 8))
    ]
    for first, second in itertools.combinations(draws, 2):
        assert abs((first * second).mean()) < 0.05
        assert first.std() == pytest.approx(1, abs=0.03)


def test_frames_start_from_noise_that_they_share_as_the_file_or_the_settings_say():
    """Files without a share have none, and give what they gave."""
    given = torch.full((5, 4, 6, 3), 0.5)

    def made(config, **settings):
        seen = []

        def spy(noisy, *rest):
            seen.append(noisy.clone())
            return torch.zeros_like(noisy)

        list(upscale(spy, config, [given], UpscaleSettings(1, window=5, overlap=0, **settings)))
        return seen[0]

    own, half, all_of_it = (made(replace(TINY, shared_noise=share)) for share in (None, 0.5, 1.0))
    assert torch.equal(own, made(TINY)) and torch.equal(made(TINY, shared_noise=0.5), half)
    assert torch.equal(made(replace(TINY, shared_noise=0.5), shared_noise=0.0), own)
    assert torch.equal(all_of_it[0], all_of_it[4])
    for noise, expected in ((own, 0.0), (half, 0.5), (all_of_it, 1.0)):
        assert noise.std() == pytest.approx(1, abs=0.1)
        correlation = torch.corrcoef(torch.stack([noise[0].flatten(), noise[3].flatten()]))[0, 1]
        assert correlation == pytest.approx(expected, abs=0.1)


def test_an_untrained_upscaler_is_bicubic_to_a_faint_grain():
    """A new upscaler predicts v = 0, and the clean part of pure noise is then 0.

    One step is exactly bicubic.
    """
    frames = moving_clip(3, 7, 9)
    bicubic = functional.interpolate(
        frames.permute(0, 3, 1, 2), scale_factor=4, mode="bicubic", align_corners=False
    ).permute(0, 2, 3, 1)
    new = VideoUpscaler(TINY)
    torch.testing.assert_close(
        enlarge(frames, UpscaleSettings(steps=1), new), bicubic.clamp(0, 1), atol=1e-5, rtol=0
    )
    assert (enlarge(frames, UpscaleSettings(steps=4), new) - bicubic).std() < 1.5 * TINY.residual_std


def test_colour_and_brightness_stay_those_of_the_input():
    """Means over areas of 16 x 16 given pixels move by less than half a step of 8 bits.

    That holds whatever the weights are.
    """
    frames = moving_clip(3, 48, 64) * 0.6 + 0.2  # away from the ends, where clipping would move means
    config = replace(TINY, residual_std=0.03)
    made = enlarge(frames, upscaler=random_upscaler(config, std=0.08))
    assert (made - enlarge(frames, UpscaleSettings(steps=1), VideoUpscaler(TINY))).abs().max() > 0.02
    coarse = [functional.avg_pool2d(x.permute(0, 3, 1, 2), side) for x, side in ((frames, 16), (made, 64))]
    assert (coarse[0] - coarse[1]).abs().max() < 0.5 / 255


def test_detail_passes_where_colours_are_held():
    detail = torch.randn(1, 3, 64, 64)
    flat = torch.full_like(detail, 0.3)
    held = hold_colours(detail + flat, 4)
    assert held.mean().abs() < 1e-2
    assert functional.cosine_similarity(held.flatten(), detail.flatten(), dim=0) > 0.99
    assert hold_colours(flat, 4).abs().max() < 1e-5


def test_a_prediction_of_v_stands_for_signal_and_noise():
    x, noise, time = torch.randn(3, 2, 4, 4), torch.randn(3, 2, 4, 4), torch.tensor([0.0, 0.4, 1.0])
    clean, found = split(add_noise(x, noise, time), velocity(x, noise, time), time)
    torch.testing.assert_close(clean, x)
    torch.testing.assert_close(found, noise)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 8, 9, 10, 11])
def test_windows_cover_a_stream_as_they_cover_a_list(count):
    """Against the windows of a clip of known length."""
    values = torch.randn(count)
    starts = [*range(0, max(1, count - 3), 2)] if count > 4 else [0]
    if count > 4 and starts[-1] != count - 4:
        starts = [start for start in starts if start < count - 4] + [count - 4]
    sums, weights = torch.zeros(count), torch.zeros(count)
    for start in starts:
        window = values[start : start + 4]
        weight = torch.tensor([min(i + 1, len(window) - i) for i in range(len(window))], dtype=torch.float)
        sums[start : start + 4] += weight * (window + start)
        weights[start : start + 4] += weight
    seen = []

    def evaluate(items):
        seen.append(items[0])
        return values[items] + items[0]

    found = list(fused(iter(range(count)), 4, 2, evaluate))
    assert seen == starts
    assert [item for item, _ in found] == list(range(count))
    torch.testing.assert_close(torch.stack([value for _, value in found]), sums / weights)


def test_tiles_cover_a_side_once():
    for length, tile in itertools.product((5, 8, 33, 100), (0, 8, 13, 200)):
        tiles = tiles_along(length, tile, TINY)
        kept = [place for t in tiles for place in range(t.start, t.stop)]
        assert kept == list(range(length))
        assert all(t.low % TINY.multiple == 0 and t.high <= length for t in tiles)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_level": 0.6}, r"noise level is 0.6.*trained on 0 to 0.5"),
        ({"noise_level": -0.1}, r"noise level is -0.1"),
        ({"steps": 0}, r"at least 1 step, but steps is 0"),
        ({"window": 4, "overlap": 4}, r"Windows of 4 frames cannot overlap by 4"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(change, message):
    with pytest.raises(InvalidInputError, match=message):
        enlarge(moving_clip(2, 4, 4), replace(SETTINGS, **change))


def test_frames_that_do_not_fit_are_refused():
    with pytest.raises(InvalidInputError, match=r"shape \(2, 4, 4, 4\).*alpha channel"):
        enlarge(torch.zeros(2, 4, 4, 4))
    parts = [torch.zeros(1, 4, 4, 3), torch.zeros(1, 4, 6, 3)]
    with pytest.raises(InvalidInputError, match="Frames of 6 x 4 follow frames of 4 x 4"):
        list(upscale(random_upscaler(), TINY, parts, SETTINGS))


def test_noise_on_the_given_frames_is_not_the_noise_that_is_denoised():
    frames, seen = moving_clip(1, 6, 10), {}

    def predict(noisy, given, time, level, clip):
        seen.setdefault("given", given)
        seen.setdefault("noisy", noisy)
        return torch.zeros_like(noisy)

    settings = replace(SETTINGS, steps=1, noise_level=TINY.max_noise_level)
    list(upscale(predict, TINY, [frames], settings))
    shape = tuple(seen["given"].shape[1:])
    drawn = frame_noise(tuple(seen["noisy"].shape[1:]), settings.seed, 0, 0)
    assert torch.equal(seen["noisy"][0], drawn)
    base = torch.tensor([settings.noise_level])
    left = (
        seen["given"] - add_noise(frames.permute(0, 3, 1, 2) * 2 - 1, torch.zeros(1, *shape), base)
    ).flatten()
    same = frame_noise(shape, settings.seed, 0, 0).flatten()
    assert abs(torch.corrcoef(torch.stack([left, same]))[0, 1]) < 0.5
