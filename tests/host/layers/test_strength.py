"""Strength and motion by frame, place and step.

Norms over the clip: equal to what one number would do, and put back.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from video_ldm.temporal.errors import IncompatibleModelError
from video_ldm.temporal.layers.motion import MotionModule
from video_ldm.temporal.sampling.clip import Clip
from video_ldm.temporal.sampling.schedules.amount import Amount, Change
from video_ldm.tests.host.rig import LATENT


def changed(model, layers="all", **parts):
    from video_ldm.nodes.host.layers.attached.strength import change_layers

    return change_layers(model, Change(**parts), layers)


def test_a_strength_is_that_of_the_loader_whichever_way_it_is_said(rig):
    wanted = rig.sample(rig.with_layers(strength=0.6))
    plain = rig.with_layers()
    frames = LATENT[0]
    for amount in (
        Amount((0.6,)),
        Amount((0.6,) * frames),
        Amount((0.6,), mask=torch.ones(1, 20, 12)),
        Amount((2.0,), mask=torch.zeros(frames, 3, 3), outside=0.6),
    ):
        torch.testing.assert_close(rig.sample(changed(plain, strength=amount)), wanted, rtol=1e-3, atol=1e-3)
    assert torch.equal(rig.sample(changed(plain)), rig.sample(plain))


def test_no_strength_anywhere_is_the_image_model(rig):
    made = rig.sample(changed(rig.with_layers(), strength=Amount((0.0,) * LATENT[0])))
    torch.testing.assert_close(made, rig.sample(rig.model), rtol=1e-4, atol=1e-4)


def test_a_change_holds_in_its_part_of_the_sampling_alone(rig):
    plain = rig.with_layers()
    half = {"strength": Amount((0.0,))}
    parts = changed(changed(plain, **half, end_percent=0.5), **half, start_percent=0.5)
    assert torch.equal(rig.sample(parts), rig.sample(changed(plain, **half)))
    first = rig.sample(changed(plain, **half, end_percent=0.5))
    assert torch.equal(first, rig.sample(rig.with_layers(start_percent=0.5)))


def test_motion_changes_the_clip_and_is_one_for_all_ways_to_say_it(rig):
    plain = rig.with_layers()
    one = rig.sample(changed(plain, motion=Amount((1.7,))))
    assert (one - rig.sample(plain)).abs().max() > 0.01
    field = Amount((1.7,), mask=torch.ones(LATENT[0], 7, 5))
    torch.testing.assert_close(rig.sample(changed(plain, motion=field)), one, rtol=1e-3, atol=1e-3)


def test_layers_loaded_last_change_alone(rig):
    two = rig.with_layers(rig.with_layers())
    off = changed(two, "last loaded", strength=Amount((0.0,)))
    torch.testing.assert_close(rig.sample(off), rig.sample(rig.with_layers()), rtol=1e-5, atol=1e-5)


def test_a_model_without_layers_is_refused(rig):
    with pytest.raises(IncompatibleModelError, match="no temporal layers whose strength"):
        changed(rig.model)


def test_norms_over_the_clip_are_undone_after_the_call(rig):
    norms = rig.with_layers(patcher=rig.stack(scale=0), norms="over the clip")
    made = rig.sample(norms)
    assert (made - rig.sample(rig.model)).abs().max() > 1e-3
    assert rig.hooks_left() == 0
    one = {"samples": torch.zeros(1, *LATENT[1:])}  # of one frame the clip's statistics are the frame's
    torch.testing.assert_close(
        rig.sample(norms, latent=one), rig.sample(rig.model, latent=one), rtol=1e-5, atol=1e-5
    )
    as_trained = rig.with_layers(patcher=rig.stack(scale=0), norms="as AnimateDiff-Evolved")
    assert torch.equal(rig.sample(as_trained), rig.sample(rig.model))  # a family that was trained otherwise


def test_norms_of_motion_modules_are_taken_over_the_clip_too(host):
    from video_ldm.nodes.host.layers.hooks import norms_over_clip

    torch.manual_seed(0)
    by_frame, by_clip = (MotionModule(32, clip_norm, nn) for clip_norm in (False, True))
    nn.init.normal_(by_frame.proj_out.weight)
    by_clip.load_state_dict(by_frame.state_dict())
    hidden, clip = torch.randn(10, 32, 4, 3), Clip(num_frames=5, fps=8.0)
    with norms_over_clip(nn.Module(), nn.ModuleList([by_frame, by_clip]), 5):
        torch.testing.assert_close(by_frame(hidden, clip), by_clip(hidden, clip))
    assert (by_frame(hidden, clip) - by_clip(hidden, clip)).abs().max() > 0.1
