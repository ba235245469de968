"""The toy world: what a scene's caption, boxes and clip say is the same thing."""

from __future__ import annotations

import argparse
import itertools

import numpy as np
import pytest
from video_ldm.demo import world
from video_ldm.demo.train import clips
from video_ldm.demo.world import tracker, video_distance
from video_ldm.demo.world.scene import CAMERAS, DIRECTIONS, SIDE, TURNS, Scene, split_of


def scenes(motion: str | None, count: int = 8, split: str = "train") -> list[Scene]:
    rng = np.random.default_rng(11)
    return [world.sample(rng, split, motion) for _ in range(count)]


def test_the_same_seed_draws_the_same_clip():
    first, again = (world.sample(np.random.default_rng(5)) for _ in range(2))
    assert first == again
    assert np.array_equal(world.render(first), world.render(again))


def test_a_clip_has_frames_of_the_right_kind():
    frames = world.render(scenes(None, 1)[0], num_frames=3)
    assert frames.shape == (3, SIDE, SIDE, 3)
    assert frames.dtype == np.uint8


def test_start_and_frame_rate_pick_moments_of_one_clip():
    scene = scenes("left", 1)[0]
    frames = world.render(scene, 16, fps=8)
    assert np.array_equal(world.render(scene, 4, fps=8, start=0.5), frames[4:8])
    assert np.array_equal(world.render(scene, 8, fps=4), frames[::2])


@pytest.mark.slow
@pytest.mark.parametrize("way", DIRECTIONS)
def test_the_tracker_finds_the_direction_of_the_caption(way: str):
    for scene in scenes(way):
        path = tracker.track(world.render(scene), scene.color)
        assert tracker.direction(path) == way
        assert f"moving {way}" in world.caption(scene)
        assert np.hypot(*tracker.velocity(path)) == pytest.approx(scene.speed / 8, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("sense", TURNS)
def test_the_tracker_finds_the_sense_of_turning(sense: str):
    for scene in scenes(sense):
        assert tracker.turn(tracker.track(world.render(scene), scene.color)) == sense
        assert f"circling {sense}" in world.caption(scene)


def test_a_shape_that_stands_still_has_a_track_that_does():
    for scene in scenes("still"):
        path = tracker.track(world.render(scene), scene.color)
        assert tracker.direction(path) == "still"
        assert tracker.jitter(path) < 0.05


def test_even_motion_has_little_jitter_and_shuffled_frames_have_much():
    scene = scenes("right", 1)[0]
    frames = world.render(scene)
    steady = tracker.jitter(tracker.track(frames, scene.color))
    shuffled = tracker.jitter(tracker.track(frames[[3, 0, 6, 1, 7, 2, 5, 4]], scene.color))
    assert steady < 0.3
    assert shuffled > 20 * steady


@pytest.mark.slow
def test_a_panning_camera_moves_the_picture_the_other_way():
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}
    for scene in scenes("camera", 24):
        kind, way = scene.camera.split()
        if kind == "pan":
            assert tracker.direction(tracker.track(world.render(scene), scene.color)) == opposite[way]
            assert f"camera panning {way}" in world.caption(scene)
        else:
            assert f"camera zooming {way}" in world.caption(scene)
    assert {scene.camera for scene in scenes("camera", 100)} == set(CAMERAS)


@pytest.mark.slow
def test_zooming_in_makes_the_shape_larger():
    area = {"in": [], "out": []}
    for scene in scenes("camera", 60):
        kind, way = scene.camera.split()
        if kind == "zoom":
            mask = tracker.colour_map(world.render(scene, 16, fps=16)) >= 0
            area[way].append(mask[-1].sum() / mask[0].sum())
    assert min(area["in"]) > 1.5
    assert max(area["out"]) < 0.7


@pytest.mark.parametrize("motion", ["left", "clockwise", "camera", "still"])
def test_the_shape_stays_in_the_picture(motion: str):
    for scene, frame in itertools.product(scenes(motion), range(16)):
        [(_, x0, y0, x1, y1)] = world.boxes(scene, frame, fps=16)
        assert 0 <= x0 < x1 <= SIDE
        assert 0 <= y0 < y1 <= SIDE
        assert (x0, y0) > (0, 0), "the box is cut at the edge"


@pytest.mark.slow
@pytest.mark.parametrize("motion", ["left", "clockwise", "camera", "road"])
def test_boxes_hold_the_pixels_of_their_objects(motion: str):
    for scene in scenes(motion):
        frames = world.render(scene, 16, fps=16)
        found = tracker.colour_map(frames)
        for frame, (label, x0, y0, x1, y1) in (
            (n, box) for n in (0, 9, 15) for box in world.boxes(scene, n, fps=16)
        ):
            ys, xs = np.nonzero(found[frame] == list(tracker.COLORS).index(label.split()[0]))
            edges = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
            assert np.abs(np.array(edges) - (x0, y0, x1, y1)).max() <= 2.5, (label, edges, (x0, y0, x1, y1))


def test_cars_drive_as_their_caption_says():
    for scene in scenes("road"):
        assert scene.cars
        for car in scene.cars:
            assert f"a {car.color} car driving {car.direction}" in world.caption(scene)
            boxes = [[b for b in world.boxes(scene, frame) if b[0] == f"{car.color} car"] for frame in (0, 3)]
            ahead = boxes[1][0][1] - boxes[0][0][1]
            assert ahead * DIRECTIONS[car.direction][0] > 0


def test_captions_without_motion_say_nothing_of_it():
    for scene in scenes(None, 100):
        words = world.caption(scene, with_motion=False).split()
        assert not {"moving", "circling", "standing", "camera", "driving", "left", "clockwise"} & set(words)


@pytest.mark.slow
def test_the_splits_share_no_combination():
    def combinations(split: str) -> set[tuple[str, ...]]:
        drawn = scenes(None, 400, split)
        assert {split_of(scene) for scene in drawn} == {split}
        return {(s.shape, s.color, s.motion, s.camera, s.texture) for s in drawn if not s.cars}

    train, test = combinations("train"), combinations("test")
    assert not train & test
    for attribute in range(3):
        assert {c[attribute] for c in train} == {c[attribute] for c in test}, "a value is never trained on"


def test_a_mere_ground_has_no_main_colour():
    assert tracker.main_colour(np.full((4, SIDE, SIDE, 3), 130, np.uint8)) is None


def test_a_lost_object_is_not_a_number():
    path = tracker.track(np.full((4, SIDE, SIDE, 3), 130, np.uint8), "red")
    assert np.isnan(path).all()
    assert tracker.direction(path) is None
    assert np.isnan(tracker.jitter(path))


def pairs(rng, clips, mean=0.0, features=40):
    """Pair features of clips: 7 pairs each, that have something in common."""
    scale = np.linspace(3, 0.1, features)
    return [
        (mean + rng.normal(size=(1, features)) + rng.normal(size=(7, features))) * scale for _ in range(clips)
    ]


def test_a_resolved_distance_has_ten_samples_an_axis_and_tells_shifted_clips_from_its_floor():
    rng = np.random.default_rng(0)
    theirs, same, shifted = pairs(rng, 60), pairs(rng, 40), pairs(rng, 40, mean=2.0)
    near, far = (video_distance.resolved_distance(ours, theirs) for ours in (same, shifted))
    assert near.axes == far.axes == 60 * 7 // 2 // 10
    assert near.low <= near.distance <= near.high and near.low < 2 * near.floor
    assert far.low > 3 * near.high and far.low > 3 * far.floor
    assert far.distance == pytest.approx(4 * far.axes / 2, rel=0.5), (
        "a mean 2 away, of a variance of 2, along every axis"
    )


def test_a_difference_of_the_same_scenes_is_told_where_their_own_intervals_overlap():
    rng = np.random.default_rng(2)
    theirs, far = pairs(rng, 60), [clip + rng.normal(scale=2) for clip in pairs(rng, 40, mean=0.5)]
    near = [clip - 0.1 for clip in far]
    own = [video_distance.resolved_distance(clips, theirs) for clips in (far, near)]
    assert own[0].low < own[1].high, "apart by less than scenes differ"
    difference, low, high = video_distance.paired_difference(far, near, theirs)
    assert difference == pytest.approx(own[0].distance - own[1].distance)
    assert 0 < low < difference < high
    assert video_distance.paired_difference(far, far, theirs) == (0, 0, 0)


def test_few_clips_are_seen_along_few_axes():
    rng = np.random.default_rng(1)
    assert video_distance.resolved_distance(pairs(rng, 3), pairs(rng, 60)).axes == 2
    assert video_distance.resolved_distance(pairs(rng, 1), pairs(rng, 60)).axes == 2, "never fewer"


def test_clips_of_one_kind_go_through_their_ways_in_turn():
    args = argparse.Namespace(seed=3, split="train", straight=False, turning=True)
    assert [clips.scene_of(number, args).motion for number in range(4)] == 2 * list(TURNS)
    args.straight, args.turning = True, False
    assert [clips.scene_of(number, args).motion for number in range(4)] == list(DIRECTIONS)
    args.straight = False
    assert len({clips.scene_of(number, args).motion for number in range(40)}) > 4
