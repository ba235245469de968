"""Texts and hints that are neither one nor one for each frame, and a MODEL without temporal layers.

What is done, what is said.
"""

from __future__ import annotations

import math

import pytest
import torch

FRAMES = 5


@pytest.fixture(scope="module")
def rig(host):
    from ..rig import Rig

    return Rig()


@pytest.fixture
def said(rig, monkeypatch):
    """Lines that nodes show, in order, but for how long is left."""
    from video_ldm.nodes.host import progress

    lines: list[str] = []
    monkeypatch.setattr(progress, "PAUSE", math.inf)
    monkeypatch.setattr(progress, "say", lines.append)
    return lines


def texts(rig, *words: str) -> list:
    """CONDITIONING with a text for each word."""
    return [[torch.cat([rig.encode(word)[0][0] for word in words]), {}]]


def guided(rig, model, positive, frames=FRAMES):
    """A clip through Video Guider and the host's own sampling."""
    import comfy.samplers
    from video_ldm.nodes.host.sampling.clip import make_guider

    with torch.inference_mode():
        guider = make_guider(model, positive, rig.negative, (3.0, 3.0, 1.0), 8.0, None, None)
        noise = torch.randn(frames, 4, 10, 6, generator=torch.Generator().manual_seed(1))
        sampler, sigmas = comfy.samplers.sampler_object("euler"), torch.tensor([5.0, 1.0, 0.0])
        return guider.sample(noise, torch.zeros_like(noise), sampler, sigmas, seed=1)


@pytest.mark.parametrize("way", ["guider", "the host's KSampler", "windows"])
@pytest.mark.parametrize("given", [("a dog", "a red circle", "a cat"), ("a dog",) * 4 + ("a cat",) * 4])
def test_the_last_text_goes_on_and_those_too_many_are_not_used(rig, way, given):
    from video_ldm.nodes.host.sampling.windows import add_windows

    model, sample = rig.with_layers(), guided
    if way == "windows":
        model = add_windows(model, 3, 1, "standard_static", "pyramid", False, False)
    if way == "the host's KSampler":
        sample = lambda rig, model, positive: rig.sample(model, positive=positive)  # noqa: E731
    each = (*given, *given[-1:] * FRAMES)[:FRAMES]
    made, expected = (sample(rig, model, texts(rig, *words)) for words in (given, each))
    assert torch.equal(made, expected)


def test_without_temporal_layers_it_is_the_same_rule(rig):
    made, expected = (guided(rig, rig.model, texts(rig, *words)) for words in ("ab", "abbbb"))
    assert torch.equal(made, expected)


def test_hints_follow_the_rule_too():
    from video_ldm.nodes.host.layers.per_frame import for_frames

    class Control:
        previous_controlnet = None
        cond_hint_original = torch.arange(3.0)

    control = Control()
    for frames, seen in ((5, [0, 1, 2, 2, 2]), (2, [0, 1])):
        conds = for_frames({"positive": [{"control": control}]}, frames)
        assert conds["positive"][0]["control"].cond_hint_original.tolist() == seen
    assert for_frames({"positive": [{"control": control}]}, 3)["positive"][0]["control"] is control


@pytest.mark.parametrize("count", [2, 3, 5, 7])
def test_noise_masks_follow_the_rule_too(rig, said, count):
    """The host's samplers begin again with the first of them."""
    torch.manual_seed(4)
    clip = torch.randn(FRAMES, 4, 10, 6)
    mask = torch.zeros(count, 10, 6)
    mask[-1] = 1.0  # the last is drawn anew
    each = torch.cat([mask, mask[-1:].expand(FRAMES, -1, -1)])[:FRAMES]
    layers = rig.with_layers()
    made, expected = (
        rig.sample_video(layers, steps=2, latent={"samples": clip, "noise_mask": given})["samples"]
        for given in (mask, each)
    )
    assert torch.equal(made, expected)
    kept = [torch.allclose(one, other, atol=1e-4) for one, other in zip(made, clip, strict=True)]
    assert kept == [not bool(one.any()) for one in each]
    about = [line for line in said if "noise masks" in line]
    assert len(about) == (count != FRAMES) and all(line.startswith(f"{count} noise masks") for line in about)


def test_a_noise_mask_under_known_frames_goes_on_too():
    from video_ldm.nodes.host.sampling.known import with_frames

    mask = torch.zeros(2, 10, 6)
    clip = {"samples": torch.zeros(4, 4, 10, 6), "noise_mask": mask}
    made = with_frames(clip, torch.ones(1, 4, 10, 6), ((0, 0),))["noise_mask"]
    assert made.shape == (4, 1, 10, 6) and not made.any()


def test_the_node_says_what_is_not_used(rig, said):
    from video_ldm.nodes.host.layers.per_frame import odd_counts

    assert odd_counts([1, 8], [1], 8) == []
    assert odd_counts([16, 3, 3], [4], 8) == [
        "3 texts are given for 8 frames: the last one goes on.",
        "16 texts are given for 8 frames: the last 8 are not used.",
        "4 ControlNet hints are given for 8 frames: the last one goes on.",
    ]
    rig.positive, positive = texts(rig, *"abcdefg"), rig.positive
    try:
        rig.sample_video(rig.with_layers(), steps=1)
    finally:
        rig.positive = positive
    assert said[0] == "7 texts are given for 5 frames: the last 2 are not used."


def test_a_model_without_temporal_layers_is_told(rig, said):
    rig.sample_video(rig.model, steps=1)
    assert len(said) == 1 and said[0].startswith(
        "This MODEL has no temporal layers, so its frames are separate pictures"
    )
    said.clear()
    rig.sample_video(rig.with_layers(), steps=1)
    rig.sample_video(rig.model, steps=1, latent={"samples": torch.zeros(1, 4, 10, 6)})
    assert said == []


def test_pinned_interpolation_and_prediction_without_layers_are_told_once(rig, said, tmp_path):
    from video_ldm.nodes.host.sampling.clip import SamplerSettings
    from video_ldm.nodes.host.sampling.extend import Extension, extend
    from video_ldm.nodes.host.sampling.interpolate import Interpolation, PromptedModel, interpolate

    video = PromptedModel(rig.model, rig.positive, rig.negative, None)
    sampler = SamplerSettings(0, 1, 1.0, "euler", "normal", 8.0)
    clip = {"samples": torch.randn(3, 4, 10, 6)}
    with torch.inference_mode():
        interpolate(clip, Interpolation("pinned", 1, False, 2.0, 0.5), video, sampler)
        extend(clip, Extension(2, 4, 2, (0,), tmp_path), video, sampler, [rig.positive] * 2, "")
    assert [line[:35] for line in said] == ["This MODEL has no temporal layers, "] * 2


def test_a_remark_stays_behind_the_time_that_is_left(said, monkeypatch):
    from video_ldm.nodes.host import progress

    monkeypatch.setattr(progress, "PAUSE", -1.0)
    running = progress.SamplingProgress()
    running.remark("One.", "Two.")
    running.remark("One.")
    running.time_left("step 1 of 2", 1, 2)
    assert said == ["One. Two.", "step 1 of 2, 0 s left. One. Two."]
