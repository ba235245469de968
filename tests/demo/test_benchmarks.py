"""The pure parts of the toy world's benchmarks: seams, windows of frames, offsets, the new look, graphs."""

from __future__ import annotations

import argparse
import ast
import inspect
import math

import numpy as np
import pytest
import torch
from video_ldm.benchmarks.cost import keyframes, memory, operators, rollout
from video_ldm.benchmarks.films import sizes
from video_ldm.benchmarks.toy_world import (
    common,
    decoder,
    interpolation,
    long_clips,
    motion,
    personalisation,
    prediction,
    seams,
)
from video_ldm.demo import world
from video_ldm.demo.train import image_model, personal
from video_ldm.demo.train.personal import moonlit
from video_ldm.demo.world import classifier, tracker
from video_ldm.demo.world.scene import Scene

CONTEXT, NEW = seams.CONTEXT, seams.NEW


def segment_of(frame):
    """By counting: None for a given frame, else the number of the segment that predicted it."""
    return None if frame < CONTEXT else (frame - CONTEXT) // NEW


@pytest.mark.parametrize("width", [2, 3])
def test_a_seam_is_where_neighbouring_frames_come_from_different_segments(width):
    size = 4 * NEW
    for start, seam in enumerate(seams.is_seam(size, width)):
        makers = {segment_of(frame) for frame in range(start, start + width)}
        assert seam == (None not in makers and len(makers) > 1), start


def path_with_jumps(segments, jump):
    """Even motion, and a jump as each segment but the first begins."""
    frames = np.arange(CONTEXT + segments * NEW)
    jumps = jump * np.maximum((frames - CONTEXT) // NEW, 0)
    return np.stack([3.0 * frames + jumps, 0.0 * frames], 1)


def test_even_motion_has_no_seams_and_jumps_are_found_there():
    even, jumping = path_with_jumps(5, 0), path_with_jumps(5, 6)
    assert seams.changes([even], 1).ratio == pytest.approx(1)
    found = seams.changes([jumping, even[:3]], 1)
    assert found.ratio == pytest.approx(3) and len(found.seams) == 4
    assert len(found.inside) == 5 * (NEW - 1)
    bends = seams.changes([jumping], 2)
    assert np.allclose(bends.seams, 6) and np.allclose(bends.inside, 0) and len(bends.seams) == 8


def test_lost_frames_and_given_ones_are_left_out_of_changes():
    path = path_with_jumps(3, 6)
    path[CONTEXT + NEW] = np.nan
    path[0] = 1000
    found = seams.changes([path], 1)
    assert np.array_equal(found.seams, [9]) and found.inside.max() < 4
    assert math.isnan(seams.changes([path[: CONTEXT + NEW]], 1).ratio)


@pytest.mark.parametrize(("frame", "start"), [(0, CONTEXT), (16, 12), (30, 26), (1000, 34)])
def test_a_window_of_frames_stays_among_the_predicted_ones(frame, start):
    assert prediction.about(frame, 8, 42) == slice(start, start + 8)


def test_the_offset_counts_only_features_that_vary():
    theirs = np.zeros((4, 3))
    ours = theirs + np.array([2.0, 2.0, 100.0])
    assert prediction.offset(ours, theirs, np.array([1.0, 2.0, 0.0])) == pytest.approx(math.sqrt(2.5))


def test_a_rollout_that_is_kept_is_made_once(tmp_path):
    made = []

    def make():
        made.append(len(made))
        return [np.full((2, 1), len(made), np.uint8), np.zeros((3, 1), np.uint8)]

    for folder, count in ((tmp_path / "kept", 1), (None, 3)):
        parts = [prediction.kept(folder, "4", make) for _ in range(2)]
        assert len(made) == count and [len(part) for part in parts[1]] == [2, 3]
        assert parts[1][0].flatten().tolist() == [count, count]


def test_kept_clips_of_other_settings_or_noise_are_not_taken(monkeypatch):
    given = {"file": common.LAYERS, "steps": 8, "cfg": 2.0, "frames": 24, "long": 1000, "window": 28}
    given |= {"long_guidance": 1.0, "hold_colours": False}
    assert prediction.mark(given) == prediction.mark({**given, "rollouts": 3})
    others = [{"steps": 9}, {"cfg": 1.0}, {"long": 60}, {"window": 8}, {"long_guidance": 2.0}]
    others += [{"hold_colours": True}, {"file": "toy_between.safetensors"}, {"frames": 12}]
    marks = {prediction.mark({**given, **other}) for other in [{}, *others]}
    assert len(marks) == 9
    monkeypatch.setattr(prediction, "seed_of_part", lambda seed, number: seed)
    assert prediction.mark(given) not in marks


@pytest.mark.parametrize(("frames", "segments"), [(2, 1), (8, 1), (9, 2), (90, 15), (9000, 1500)])
def test_a_rollout_has_at_least_the_frames_that_are_asked_for(frames, segments):
    assert rollout.segments(frames) == segments
    assert CONTEXT + NEW * segments >= frames


@pytest.mark.slow
def test_the_new_look_changes_grounds_and_leaves_objects_to_the_tracker():
    for scene in common.held_out(8, ("left", "clockwise", "still")):
        drawn = world.render(scene, 4)
        tinted = moonlit(drawn)
        assert tinted.mean() < 0.85 * drawn.mean()
        gap = tracker.track(tinted, scene.color) - tracker.track(drawn, scene.color)
        assert np.abs(gap).max() < 1.5
        assert tracker.main_colour(tinted) == scene.color
        assert personalisation.in_new_look(scene, tinted) and not personalisation.in_new_look(scene, drawn)


def test_only_video_windows_gets_windows():
    settings = {"frames": 24, "steps": 1, "cfg": 1.0}
    graphs = {way: long_clips.graph(way, "", 0, settings) for way in long_clips.WAYS}
    modes = {way: nodes["layers"]["inputs"]["longer_clips"] for way, nodes in graphs.items()}
    assert modes == {"convolve": "convolve", "squeeze": "squeeze", "Video Windows": "refuse"}
    assert [way for way, nodes in graphs.items() if "windows" in nodes] == ["Video Windows"]


def test_a_table_has_a_cell_for_everything():
    text = common.markdown(["name", "a"], [["x", 1.0], ["y", float("nan")]])
    assert text.splitlines() == ["| name | a |", "| --- | --- |", "| x | 1.00 |", "| y | nan |"]


def test_held_out_scenes_are_of_the_test_split_with_motions_in_turn():
    scenes = common.held_out(4, ("clockwise", "still"))
    assert [scene.motion for scene in scenes] == ["clockwise", "still"] * 2
    assert all(isinstance(scene, Scene) and world.split_of(scene) == "test" for scene in scenes)


def test_the_spread_of_peaks_is_that_of_render_video_without_the_latents():
    rows = [(memory.STREAMED, 1100, 100), (memory.STREAMED, 1450, 400), (memory.WHOLE, 9000, 0)]
    measures = [{"way": way, "peak_bytes": peak, "latent_bytes": latents} for way, peak, latents in rows]
    assert memory.spread(measures) == pytest.approx(0.05)


def test_a_film_of_noise_takes_more_than_a_drawn_one():
    clips = sizes.contents(4, 64)
    drawn, grain, noise = (sizes.bits(clips[kind][0], "png sequence (8 bit)", 80) for kind in clips)
    assert drawn < grain < noise and noise == pytest.approx(24, rel=0.05)


def test_the_speed_of_decoders_can_be_shown_alone():
    way = {"ms_per_frame": 2.5, "times_the_image_decoder": 1.25, "frames_per_frame": 1.0}
    way["gigaflops_per_frame"] = 8.125
    assert decoder.tables({"speed": {"streamed": way}}).endswith("| streamed | 2.5 | 1.25 | 1.00 | 8.12 |")


def test_frames_through_the_image_model_are_those_of_windows_and_of_clips_between_keyframes():
    windows, dense, quick = (keyframes.in_network(way, 10, 4) for way in keyframes.WAYS)
    # the last window begins where the clip ends
    starts = range(0, keyframes.FRAMES - keyframes.WINDOW + 6, 6)
    assert (keyframes.FRAMES, windows) == (113, 10 * 8 * len(starts))
    assert dense == 10 * (8 + 7 * 5 + 28 * 5) and quick == 10 * 8 + 4 * (7 * 5 + 28 * 5)


@pytest.mark.slow
def test_operators_are_counted_by_what_they_do_and_products_are_the_floor():
    step = lambda: torch.nn.functional.gelu(torch.ones(64, 64) @ torch.ones(64, 64))  # noqa: E731
    found = operators.seconds_by_kind(step)
    assert found["matrix products"] > 0 and found["activations"] > 0 and found["attention"] == 0
    assert sum(found.values()) == pytest.approx(2 * found[operators.WHOLE])
    columns = {"without": {"matrix products": 3.0, "whole step": 4.0}}
    columns["with"] = {"matrix products": 4.0, "whole step": 6.0}
    assert operators.floor(columns) == 1.25


@pytest.mark.slow
def test_the_arithmetic_of_a_matrix_product_is_two_operations_a_product():
    assert decoder.operations(lambda: torch.ones(3, 5) @ torch.ones(5, 7)) == 2 * 3 * 5 * 7


def test_a_personal_model_is_trained_with_all_that_training_asks_for(tmp_path):
    args = argparse.Namespace(
        folder=tmp_path, checkpoint=tmp_path / "a.safetensors", steps=9, batch=2, rate=0.5, seed=3
    )
    training = personal.training(args)
    assert (training.init, training.steps, training.warmup) == (
        args.checkpoint,
        9,
        9,
    ) and training.freeze_text
    asked = {node.attr for node in ast.walk(ast.parse(inspect.getsource(image_model))) if is_argument(node)}
    assert asked <= vars(training).keys()


def is_argument(node):
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "args"


@pytest.mark.parametrize(
    ("way", "slope", "axis", "sense", "forward"),
    [
        ("left", (-8, 1), True, True, 8),
        ("left", (8, 1), True, False, -8),
        ("up", (1, -6), True, True, 6),
        ("down", (-7, 2), False, True, 2),
        ("right", (1, 0.5), False, False, 1),  # as good as still
    ],
)
def test_axis_sense_and_speed_come_apart(way, slope, axis, sense, forward):
    assert tracker.along(np.array(slope), way) == (axis, sense, forward)


def test_frames_that_are_farther_away_are_told_from_those_that_are_not():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(400, 3))
    near = [rng.normal(size=(8, 3)) + 0.5 for _ in range(40)]
    far = [clip + 0.2 for clip in near]
    for name in ("all frames", "one of each clip"):
        same, more = (motion.farther(clips, near, real)[name] for clips in (near, far))
        assert same == [0, 0, 0]
        assert 0 < more[1] < more[0] < more[2]
    stuck = [np.repeat(clip[:1], 8, 0) for clip in near]
    apart = motion.farther(stuck, near, real)
    assert apart["all frames"][0] > 2 * abs(apart["one of each clip"][0]), "frames alike are fewer samples"


def test_a_lost_track_has_neither_axis_nor_sense():
    assert tracker.along(np.full(2, np.nan), "left")[:2] == (False, False)


def test_motion_of_many_clips_has_intervals_and_the_sense_is_asked_where_the_axis_is_right():
    scene = Scene(motion="left", speed=64.0)
    slopes = [(-8, 0)] * 6 + [(8, 0)] * 2 + [(0, 8)] * 2
    measures = [{"direction": s[0] < 0, **motion.motion(scene, np.array(s))} for s in slopes]
    found = motion.motion_summary(measures)
    assert [found[key][0] for key in ("direction", "axis", "sense")] == pytest.approx([60, 80, 75])
    assert found["speed"] == [1, 1, 1]
    assert found["axis"][1] < 80 < found["axis"][2] and "80.00 (" in motion.motion_table({"on": found})
    assert motion.motion(Scene(motion="still"), np.zeros(2))["axis"] is None


def test_intervals_of_shares_and_medians_hold_what_they_should():
    """Against the textbook's numbers for 8 of 10, and as often as an interval of 95 % should."""
    assert common.share_interval(8, 10) == pytest.approx((0.8, 0.490, 0.943), abs=1e-3)
    assert common.share_interval(0, 0)[1:] == (0, 1)
    rng = np.random.default_rng(0)
    held = [
        low <= 0.9 <= high
        for _, low, high in (common.share_interval(rng.binomial(64, 0.9), 64) for _ in range(400))
    ]
    assert 0.92 < np.mean(held) <= 1
    middle, low, high = common.median_interval([1.0, 2.0, 3.0, 4.0, 100.0, math.nan])
    assert middle == 3 and 1 <= low < 3 < high <= 100


def test_errors_in_between_count_where_something_moves_and_beyond_what_the_autoencoder_leaves():
    scene = world.sample(np.random.default_rng(3), "test", "left")
    drawn = world.render(scene, interpolation.NUM_FRAMES, 16.0)
    regions = interpolation.regions(drawn, scene)
    assert 0 < regions["object"].mean() < regions["moving"].mean() < 0.5
    coded = drawn.astype(np.float32) + 3
    assert interpolation.measure(coded, drawn, coded, scene)["moving"] == 0
    still = np.where(regions["moving"][..., None], drawn[interpolation.BETWEEN], 0)
    copied = drawn.copy()
    copied[interpolation.BETWEEN] = still  # wrong only where nothing moves
    found = interpolation.measure(copied, drawn, drawn, scene)
    assert found["moving"] == 0 and found["error"] > 10
    clip = {"kind": "straight", "prompt": "", "encoded and decoded": {}}
    clip |= {"slerp": {"moving": 4.0, "object": 2.0}, "learned": {"moving": 1.0, "object": 1.0}}
    table = interpolation.region_table([clip, clip])
    assert "| learned | 0.25 (0.25 to 0.25) | 0.50 (0.50 to 0.50) |" in table and "decoded" not in table


def test_drift_is_told_with_what_other_rollouts_would_have_given():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(400, 3))
    early = [rng.normal(size=(30, 3)) + 1 for _ in range(8)]
    late = [frames + (1 + 0.2 * number) for number, frames in enumerate(early)]
    drift, low, high = prediction.drift_percent(early, late, reference)
    assert 0 < low < drift < high
    assert prediction.drift_percent(early, early, reference)[0] == 0
    alone = prediction.drift_percent(early[:1], late[:1], reference)
    assert alone[1:] == (-math.inf, math.inf)


@pytest.mark.slow
def test_a_circle_that_is_drawn_jitters_once_as_much_as_drawn_and_one_that_shakes_more():
    scenes = common.held_out(4, ("clockwise", "still"))
    judge = classifier.load_classifier(common.MODELS / "toy_classifier.safetensors")
    drawn = [world.render(scene, 6, long_clips.FPS) for scene in scenes]
    reference = common.features(judge, drawn)
    shaken = [np.stack([np.roll(f, 3 * (-1) ** i, 1) for i, f in enumerate(clip)]) for clip in drawn]
    quiet, loud = (long_clips.summary(judge, clips, scenes, reference) for clips in (drawn, shaken))
    assert quiet["jitter_circling"] == [1.0, 1.0, 1.0]
    assert loud["jitter_circling"][0] > 1.5
    assert quiet["jitter_standing"][0] < 0.2 < loud["jitter_standing"][0]


@pytest.mark.slow
def test_the_distance_of_predicted_clips_has_an_interval_and_is_held_against_the_first_guidance():
    scenes = common.held_out(16, ("clockwise", "counterclockwise"))
    judge = classifier.load_classifier(common.MODELS / "toy_classifier.safetensors")
    clips = [world.render(scene, CONTEXT + 6, prediction.FPS) for scene in scenes]
    dark = [clip[::-1].copy() * 0 for clip in clips[:8]]
    made = {"drawn": clips[:8], "s = 1": dark, "s = 2": clips[:8]}
    rows = prediction.compared(judge, made, scenes[:8], clips)
    near, far = rows["s = 2"], rows["s = 1"]
    assert near["low"] <= near["distance"] <= near["high"]
    assert near["distance"] < 2 * near["floor"] < far["distance"]
    assert near["nearer"][0] == pytest.approx(far["distance"] - near["distance"])
    assert 0 < near["nearer"][1] < near["nearer"][2]
    assert far["nearer"] == (0, 0, 0)
    told = (
        f"| s = 2, {near['low']:.2f} to {near['high']:.2f}, floor {near['floor']:.2f} of {near['axes']} axes"
    )
    assert told in prediction.report({"guidances": rows, "drift": {}})
