"""Distances by networks of the right interface, against scipy's formula and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from video_ldm.temporal.metrics.consistency import clip_similarity, consistency
from video_ldm.temporal.metrics.distances import measure_distances
from video_ldm.temporal.metrics.frechet import frechet_distance, with_interval
from video_ldm.temporal.metrics.inception_score import inception_score, score_interval
from video_ldm.temporal.metrics.kernel import kernel_distance
from video_ldm.temporal.metrics.networks import I3D, INCEPTION, VIDEOMAE


class I3dLike(torch.nn.Module):
    """I3D's interface: means over quarters of a clip."""

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        """Features (n 12) of clips (n c f h w)."""
        return torch.cat([part.mean(dim=(2, 3, 4)) for part in x.chunk(4, dim=2)], dim=1)


class VideoMaeLike(torch.nn.Module):
    """VideoMAE's interface."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features (n 3): mean change from frame to frame."""
        return (x[:, :, 1:] - x[:, :, :-1]).abs().mean(dim=(2, 3, 4))


class InceptionLike(torch.nn.Module):
    """Interface of StyleGAN3's Inception."""

    def forward(
        self, x: torch.Tensor, return_features: bool = False, no_output_bias: bool = False
    ) -> torch.Tensor:
        """Features (n 3) of uint8 pictures (n c h w), or probabilities of as many kinds."""
        features = x.float().mean(dim=(2, 3)) / 64
        return features if return_features else torch.softmax(features, dim=1)


def clips(seed: int, count: int = 256, brightness: int = 0) -> np.ndarray:
    """Small clips of noise around a colour of their own (n 16 8 8 3)."""
    rng = np.random.default_rng(seed)
    colours = rng.integers(40, 180, (count, 1, 1, 1, 3)) + brightness
    return (colours + rng.integers(0, 30, (count, 16, 8, 8, 3))).clip(0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """models/metrics with all networks."""
    for name, kind in ((I3D, I3dLike), (VIDEOMAE, VideoMaeLike), (INCEPTION, InceptionLike)):
        torch.jit.script(kind()).save(str(tmp_path / name))
    return tmp_path


@pytest.mark.slow
def test_all_distances_carry_what_a_reader_needs(folder, monkeypatch):
    monkeypatch.setattr("video_ldm.temporal.metrics.networks.FVD_SIDE", 8)
    found, missing = measure_distances(clips(0), clips(1, brightness=40), folder)
    assert set(found) == {"FVD", "CD-FVD", "FID", "KID", "IS"} and not missing
    for name in found:
        assert found[name]["low"] < found[name]["value"] < found[name]["high"]
        assert "sha256" in found[name]["features"] and found[name]["frames"] == 16
    assert found["FVD"]["ours"] == 256 and found["FID"]["ours"] == 256 * 16
    near, _ = measure_distances(clips(0), clips(1), folder)
    assert near["FVD"]["value"] < found["FVD"]["value"] / 3


def test_few_clips_are_refused_before_a_file_is_looked_for(tmp_path):
    found, missing = measure_distances(clips(0, 4), clips(1, 4), tmp_path)
    assert found == {} and [said.partition(" was")[0] for said in missing] == ["FVD", "CD-FVD", "FID", "IS"]
    assert all("says nothing" in said and "give at least 256" in said for said in missing)
    _, missing = measure_distances(clips(0), clips(1), tmp_path)
    assert all(f"which is not in {tmp_path}; put it there" in said for said in missing)


def test_frechet_distance_is_scipys_formula():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, (300, 6)), rng.normal(0.3, 1.5, (280, 6)) @ rng.normal(0, 1, (6, 6))
    root = sqrtm(np.cov(one, rowvar=False) @ np.cov(other, rowvar=False)).real
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum()
    expected += np.trace(np.cov(one, rowvar=False) + np.cov(other, rowvar=False) - 2 * root)
    assert frechet_distance(one, other) == pytest.approx(expected, rel=1e-6)


def test_kernel_distance_is_the_sum_over_pairs():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, (7, 3)), rng.normal(1, 1, (6, 3))

    def kernel(a, b):
        return (float(a @ b) / 3 + 1) ** 3

    within = [
        np.mean([kernel(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j])
        for s in (one, other)
    ]
    across = np.mean([kernel(a, b) for a in one for b in other])
    assert kernel_distance(one, other).value == pytest.approx(sum(within) - 2 * across)
    two_a_clip = kernel_distance(np.repeat(one, 2, axis=0)[:12], other, group=2)
    assert two_a_clip.value == kernel_distance(np.repeat(one, 2, axis=0)[:12], other).value
    assert (two_a_clip.ours, two_a_clip.theirs) == (12, 6)


def interval_of(name: str, values: np.ndarray, other: np.ndarray, group: int) -> tuple[float, float]:
    """Width of an interval, and the number in it."""
    if name == "score":
        score = inception_score(values)[0]
        low, high = score_interval(score, values, group)
        return high - low, score
    found = {"kernel": kernel_distance, "frechet": with_interval}[name](values, other, group=group)
    assert found.low < found.value < found.high
    return found.high - found.low, found.value


@pytest.mark.slow
@pytest.mark.parametrize("name", ["kernel", "frechet", "score"])
def test_intervals_are_as_wide_as_numbers_of_other_clips_lie_apart(name):
    """Frames of a clip are alike: 40 clips of 16 frames say as much as 40 frames, and not as 640."""
    rng = np.random.default_rng(0)

    def features(shift: float) -> np.ndarray:
        """Of 40 clips ((n 16) 4)."""
        clips = np.repeat(rng.normal(shift, 1, (40, 4)), 16, axis=0) + rng.normal(0, 0.1, (640, 4))
        if name != "score":
            return clips
        shares = np.exp(clips - clips.max(axis=1, keepdims=True))
        return shares / shares.sum(axis=1, keepdims=True)

    widths, values = zip(*(interval_of(name, features(0), features(1), 16) for _ in range(30)), strict=True)
    apart = 2 * 1.96 * np.std(values, ddof=1)
    assert np.mean(widths) == pytest.approx(apart, rel=0.35)
    by_frame, _ = interval_of(name, features(0), features(1), 1)
    assert by_frame < np.mean(widths) / 2


def test_inception_score_is_the_formula_and_its_limits():
    sure = np.eye(10)[np.arange(200) % 10]
    assert inception_score(sure, splits=1)[0] == pytest.approx(10)
    assert inception_score(np.full((50, 10), 0.1)) == pytest.approx((1, 0))
    rng = np.random.default_rng(0)
    values = rng.dirichlet(np.ones(5), 40)
    expected = np.exp(np.mean([(p * np.log(p / values.mean(0))).sum() for p in values]))
    assert inception_score(values, splits=1)[0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.slow
def test_the_libraries_of_the_field_agree():
    torchmetrics = pytest.importorskip("torchmetrics.image.fid")
    rng = np.random.default_rng(0)
    pictures = [torch.from_numpy(rng.integers(low, 200, (64, 3, 8, 8), dtype=np.uint8)) for low in (0, 60)]

    class Means(torch.nn.Module):
        num_features = 3

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.float().mean(dim=(2, 3)) / 64

    fid = torchmetrics.FrechetInceptionDistance(feature=Means(), input_img_size=(3, 8, 8)).set_dtype(
        torch.float64
    )
    for batch, real in zip(pictures, (False, True), strict=True):
        fid.update(batch, real=real)
    ours = frechet_distance(*(Means()(batch).double().numpy() for batch in pictures))
    assert ours == pytest.approx(float(fid.compute()), rel=1e-4)


def test_consistency_and_clip_similarity_are_means_of_cosines():
    features = np.array([[1.0, 0.0], [3.0, 3.0], [0.0, 2.0]])
    half = np.sqrt(0.5)
    assert consistency(features) == pytest.approx(((half + half) + (0 + half)) / 2 / 2)
    assert consistency(features[:1]) == 1
    assert clip_similarity(features, np.array([5.0, 0.0])) == pytest.approx((1 + half + 0) / 3)


def test_one_clip_on_each_side_has_no_interval(folder):
    found, _ = measure_distances(*(clips(seed, 16).reshape(1, 256, 8, 8, 3) for seed in range(2)), folder)
    assert set(found) == {"FID", "KID", "IS"} and not any("low" in facts for facts in found.values())
