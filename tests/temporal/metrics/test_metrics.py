"""Numbers of films against films whose numbers are known, and distances against their closed form."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from video_ldm.evaluation.__main__ import main
from video_ldm.temporal.errors import CheckpointFormatError, InvalidInputError
from video_ldm.temporal.metrics.films import measure
from video_ldm.temporal.metrics.flow import flow_between, motion, visible, warping_error
from video_ldm.temporal.metrics.frechet import frechet_distance, with_interval
from video_ldm.temporal.metrics.kernel import kernel_distance
from video_ldm.temporal.metrics.networks import I3D, load_network, video_features
from video_ldm.temporal.metrics.steadiness import distance_to, drift, flicker, seam, smoothness

from ..curation.films import shot, texture, write_film


def still(frames: int = 6) -> np.ndarray:
    """A picture that stays."""
    return np.repeat(texture(1)[None, :, :160], frames, axis=0)


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (-2, 0), (0, 2), (2, -3)])
def test_flow_of_a_translation_is_the_translation(dx, dy):
    wide = texture(1, 140, 240)
    one, other = wide[20:110, 20:180], wide[20 - dy : 110 - dy, 20 - dx : 180 - dx]
    flow = flow_between(one, other)[15:-15, 15:-15]
    assert np.allclose(np.median(flow, axis=(0, 1)), (dx, dy), atol=0.15)


@pytest.mark.slow
def test_motion_is_in_diagonals_a_second_whatever_the_rate_and_size():
    wide = texture(2)
    slow = np.stack([wide[:, n : n + 160] for n in range(0, 40, 2)])
    expected = 2 * 10 / np.hypot(160, 90)
    assert motion(slow, 10.0).speed == pytest.approx(expected, rel=0.15)
    assert motion(slow[::2], 5.0).speed == pytest.approx(expected, rel=0.15)
    large = slow.repeat(2, axis=1).repeat(2, axis=2)
    assert motion(large, 10.0).speed == pytest.approx(expected, rel=0.2)
    assert motion(still(), 10.0).speed == 0 and motion(iter(still(1)), 10.0).speed == 0
    assert motion(slow, 10.0).paper == pytest.approx(2 * 16 / 90, rel=0.2)


@pytest.mark.slow
def test_pure_motion_has_little_warping_error_and_no_flicker_is_none():
    moving, rng = shot(1, 8, speed=2.0), np.random.default_rng(0)
    boiling = (moving + rng.normal(0, 12, moving.shape)).clip(0, 255).astype(np.uint8)
    assert warping_error(still()) == 0 and flicker(still()) == 0
    assert warping_error(moving) < 3 < 6 < warping_error(boiling)
    flashing = still()
    flashing[1::2] = np.minimum(flashing[1::2].astype(int) + 5, 255)
    assert flicker(flashing) == pytest.approx(5, abs=0.5)


def test_hidden_places_are_left_out():
    one = np.full((60, 80, 3), 120, np.uint8)
    one[:, :] = texture(5, 60, 80)
    other = one.copy()
    other[20:40, 30:60] = texture(6, 20, 30)
    seen = visible(flow_between(one, other), flow_between(other, one))
    assert seen[:10].mean() > 0.8 and seen[22:38, 32:58].mean() < seen[:10].mean()


def test_smoothness_falls_when_motion_stutters():
    even = shot(1, 12, speed=2.0)
    wide = texture(1)
    places = [0, 1, 8, 9, 16, 17, 24, 25]
    stutter = np.stack([wide[:, x : x + 160] for x in places])
    assert smoothness(even) > smoothness(stutter) and smoothness(even[:2]) == 1


def test_drift_seam_and_distance_are_exact():
    ramp = np.stack([np.full((8, 8, 3), 100 + n, np.uint8) for n in range(20)])
    assert drift(ramp).brightness == pytest.approx(18) and drift(ramp).colour == pytest.approx(
        18 * np.sqrt(3)
    )
    assert seam(ramp) == pytest.approx(19) and seam(ramp[:1]) == 0
    loop = np.concatenate([ramp, ramp[::-1][1:]])
    assert seam(loop) == 0
    assert distance_to(ramp, {0: ramp[0], 3: ramp[0]}) == pytest.approx(1.5)


def test_frechet_distance_of_gaussians_is_the_closed_form():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, (40000, 3)), rng.normal(2, 3, (40000, 3))
    assert frechet_distance(one, other) == pytest.approx(3 * (4 + (3 - 1) ** 2), rel=0.03)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    assert kernel_distance(one[:500], one[500:1000]).value == pytest.approx(0, abs=0.05)
    assert kernel_distance(one[:500], other[:500]).value > 1


def test_few_clips_are_refused_and_many_have_an_interval():
    rng = np.random.default_rng(0)
    one, other = rng.normal(0, 1, (300, 4)), rng.normal(0.5, 1, (300, 4))
    with pytest.raises(InvalidInputError, match="give at least 256 clips"):
        with_interval(one[:255], other)
    distance = with_interval(one, other)
    assert distance.low < distance.value < distance.high and (distance.ours, distance.theirs) == (300, 300)


class StandIn(torch.nn.Module):
    """In the place of I3D: means of every channel and half of the clip."""

    def forward(self, x: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        """Features (n 6) of clips (n c f h w)."""
        return torch.cat([x[:, :, :8].mean(dim=(2, 3, 4)), x[:, :, 8:].mean(dim=(2, 3, 4))], dim=1)


def test_networks_are_opened_from_where_the_sentence_says(tmp_path):
    with pytest.raises(InvalidInputError, match=f"needs {I3D}, which is not in"):
        load_network(tmp_path, I3D, "FVD")
    (tmp_path / I3D).write_bytes(b"no network")
    with pytest.raises(CheckpointFormatError, match="is no TorchScript file"):
        load_network(tmp_path, I3D, "FVD")
    torch.jit.script(StandIn()).save(str(tmp_path / I3D))
    clips = np.zeros((9, 16, 20, 20, 3), np.uint8)
    clips[:, 8:] = 255
    features = video_features(load_network(tmp_path, I3D, "FVD"), clips)
    assert features.shape == (9, 6) and np.allclose(features, [[-1] * 3 + [1] * 3] * 9)


@pytest.mark.slow
def test_the_command_compares_two_folders(tmp_path, capsys):
    made, real = tmp_path / "made", tmp_path / "real"
    for folder, seed in ((made / "takes", 1), (real, 2)):
        folder.mkdir(parents=True)
        write_film(folder / "a.mp4", shot(seed, 20))
    (made / "broken.mp4").write_bytes(b"none")
    out = tmp_path / "out"
    assert (
        main(["--made", str(made), "--real", str(real), "--out", str(out), "--networks", str(tmp_path)]) == 0
    )
    assert "2 films measured" in capsys.readouterr().out
    found = json.loads((out / "evaluation.json").read_text())
    assert {side: len(films) for side, films in found["films"].items()} == {"made": 1, "real": 1}
    assert any("broken.mp4 cannot be read" in said for said in found["remarks"])
    assert any("measure of 1 clips says nothing" in said for said in found["remarks"])
    assert found["distances"] == {}
    assert "../made/takes/a.mp4" in (out / "evaluation.html").read_text("utf-8")


@pytest.mark.parametrize("folder", ["gone", "empty"])
def test_a_folder_without_films_is_refused(tmp_path, capsys, folder):
    (tmp_path / "empty").mkdir()
    assert main(["--made", str(tmp_path / folder), "--out", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_numbers_of_a_film_stand_together():
    numbers = measure(shot(1, 12), 25.0, "a.mp4")
    assert numbers.frames == 12 and numbers.motion > 0.03 and numbers.text_area is None
