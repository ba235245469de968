"""Cut detection of Latent Interpolate at its own default, on the toy world as the toy VAE encodes it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from video_ldm.demo import world
from video_ldm.demo.world.scene import Scene
from video_ldm.temporal.sampling.interpolation import difference

MOTIONS = (
    "left",
    "up",
    "clockwise",
    "counterclockwise",
    "still",
    "camera",
    "camera",
    "camera",
    "road",
    "road",
)
FPS, FRAMES = 16.0, (0, 4, 16)


def encoded(rig, scene: Scene, frames=FRAMES) -> torch.Tensor:
    """Latents (f 4 16 16) of some frames of a clip."""
    drawn = [world.render(scene, 1, FPS, start=frame / FPS) for frame in frames]
    with torch.inference_mode():
        return rig.vae.encode(torch.from_numpy(np.concatenate(drawn)).float() / 255)


@pytest.fixture(scope="module")
def clips(rig):
    """Latents of a clip of each motion."""
    draws = enumerate(MOTIONS)
    return [encoded(rig, world.sample(np.random.default_rng((9, i)), motion=motion)) for i, motion in draws]


@pytest.fixture(scope="module")
def threshold(host):
    from video_ldm.nodes.interpolate import LatentInterpolate

    inputs = {part.id: part for part in LatentInterpolate.define_schema().inputs}
    return inputs["cut_threshold"].default


def test_motion_is_no_cut(clips, threshold):
    """Neither a quarter of a second nor a whole one, of things or of the camera."""
    found = [max(difference(clip[0], clip[i]) for i in (1, 2)) for clip in clips]
    assert max(found) <= threshold, dict(zip(found, MOTIONS, strict=True))


def test_another_scene_is_a_cut(clips, threshold):
    found = torch.tensor([difference(one[0], other[2]) for one, other in combinations(clips, 2)])
    assert (found > threshold).float().mean() > 0.9, found.sort().values[:6]


def test_a_small_thing_on_a_flat_ground_may_go_further_than_its_size(rig, threshold):
    scene = Scene(size="small", radius=11.0, texture="plain", motion="right", x=20.0, speed=80.0)
    start, end = encoded(rig, scene, (0, 16))
    assert difference(start, end) <= threshold


def test_the_same_place_of_another_colour_is_a_cut(rig, threshold):
    """Things lie where they lay, which says nothing about the scene."""
    scenes = (Scene(color="red", ground="grey"), Scene(color="blue", ground="beige"))
    one, other = (encoded(rig, scene, (0,))[0] for scene in scenes)
    assert difference(one, other) > threshold


def test_the_node_blends_motion_and_holds_at_a_cut(clips, threshold):
    from video_ldm.nodes.interpolate import LatentInterpolate

    keyframes = torch.stack([clips[0][0], clips[0][1], clips[1][0]])
    sampler = {"seed": 0, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal"}
    blend = {"method": "linear", "passes": 1, "loop": False, "cut_threshold": threshold}
    made = LatentInterpolate.execute(
        samples={"samples": keyframes}, fps=4.0, pinned_denoise=0.6, **blend, **sampler
    ).result[0]["samples"]
    torch.testing.assert_close(made[2], (keyframes[0] + keyframes[1]) / 2)
    assert torch.equal(made[5:8], keyframes[[1, 1, 2]])
