"""Initial noise and guidance that a MODEL brings along.

Equal to what the sampler would be given, and rounds of FreeInit.
"""

from __future__ import annotations

import pytest
import torch
from video_ldm.temporal.sampling.initial_noise import LowPass, NoiseSettings
from video_ldm.tests.host.rig import LATENT


def noisy(model, rounds=1, **settings):
    from video_ldm.nodes.host.sampling.options.noise import with_noise

    return with_noise(model, NoiseSettings(**settings), rounds, LowPass())


def guided(model, first, last=None, start=0.0, end=1.0):
    from video_ldm.nodes.host.sampling.options.guidance import Guidance, with_guidance

    return with_guidance(model, Guidance(tuple(first), tuple(last or first), start, end))


def test_noise_as_it_was_is_the_samplers_own(rig):
    assert torch.equal(rig.sample(noisy(rig.model)), rig.sample(rig.model))


def test_frames_with_seeds_of_their_own_are_clips_of_one_frame(rig):
    made = rig.sample(noisy(rig.model, seed_per_frame=True, seed_offset=4))
    import nodes

    one = {"samples": torch.zeros(1, *LATENT[1:])}
    with torch.inference_mode():
        args = (3, 3.0, "euler", "normal", rig.positive, rig.negative, one)
        single = nodes.common_ksampler(rig.model, 1 + 4 + 2, *args)[0]["samples"]
    torch.testing.assert_close(made[2:3], single, rtol=1e-4, atol=1e-4)


def test_the_frame_offset_continues_the_noise(rig):
    longer = {"samples": torch.zeros(LATENT[0] + 2, *LATENT[1:])}
    made = rig.sample(noisy(rig.model, frame_offset=2))
    torch.testing.assert_close(made, rig.sample(rig.model, latent=longer)[2:], rtol=1e-4, atol=1e-4)


def test_without_a_seed_the_noise_is_that_of_seed_0(rig):
    import comfy.samplers

    guider = comfy.samplers.CFGGuider(noisy(rig.model, frame_offset=2))
    guider.set_conds(rig.positive, rig.negative)
    given = (torch.ones(LATENT), torch.zeros(LATENT), comfy.samplers.sampler_object("euler"))
    with torch.inference_mode():
        none, zero = (guider.sample(*given, torch.tensor([5.0, 0.0]), seed=seed) for seed in (None, 0))
    assert torch.equal(none, zero)


def test_rounds_change_the_clip_and_keep_its_low_frequencies(rig):
    plain, rounds = rig.sample(rig.model), rig.sample(noisy(rig.model, rounds=2))
    other = rig.sample(noisy(rig.model, seed_offset=1))
    assert not torch.equal(plain, rounds)
    means = [clip.mean(dim=(0, 2, 3)) for clip in (plain, rounds, other)]
    assert (means[1] - means[0]).abs().sum() < (means[2] - means[0]).abs().sum()


def test_guidance_is_that_of_the_sampler(rig):
    wanted = rig.sample(rig.model, cfg=5.0)
    for given in (2.0, 1.0, 0.0, 0.9):
        made = rig.sample(guided(rig.model, [5.0]), cfg=given)
        torch.testing.assert_close(made, wanted, rtol=1e-3, atol=1e-3)


def test_guidance_per_frame_and_part(rig):
    frames = [1.5, 3.0, 4.5, 6.0, 7.5]
    made = rig.sample(guided(rig.model, frames))
    for number, cfg in enumerate(frames[1:3], 1):
        torch.testing.assert_close(made[number], rig.sample(rig.model, cfg=cfg)[number], rtol=1e-3, atol=1e-3)
    parts = guided(guided(rig.model, [5.0], end=0.5), [5.0], start=0.5)
    torch.testing.assert_close(rig.sample(parts), rig.sample(rig.model, cfg=5.0), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("start", "end", "percent", "expected"),
    [(0.0, 1.0, 0.25, 3.0), (0.0, 1.0, 0.75, 5.0), (0.2, 0.7, 0.3, 2.8), (0.2, 0.7, 0.6, 5.2)],
)
def test_guidance_changes_along_its_part_of_the_sampling(rig, start, end, percent, expected):
    """From 2 to 6; the prediction is 1 under the prompt and 0 without, so that what is made is the scale."""
    from video_ldm.nodes.host.sampling.options.guidance import Guidance, GuidanceEdit

    sampling = rig.model.get_model_object("model_sampling")
    sigma = torch.tensor([sampling.percent_to_sigma(percent)])
    ones = torch.ones(LATENT)
    args = {"conds_out": [ones, 0 * ones], "sigma": sigma, "model": rig.model.model, "cond_scale": 3.0}
    positive, negative = GuidanceEdit((Guidance((2.0,), (6.0,), start, end),))(args)
    made = negative + 3.0 * (positive - negative)
    torch.testing.assert_close(made, expected * ones, rtol=1e-2, atol=0)


@pytest.mark.parametrize(
    ("name", "more"), [("RescaleCFG", {"multiplier": 0.7}), ("PerturbedAttentionGuidance", {"scale": 3.0})]
)
@pytest.mark.parametrize("first", [True, False])
def test_the_hosts_own_guidance_goes_along_with_it(rig, host, name, more, first):
    """They compare with the prediction under the prompt, which therefore stays as it is."""
    wanted = rig.sample(host.call(name, model=rig.model, **more)[0], cfg=5.0)
    if first:
        both = guided(host.call(name, model=rig.model, **more)[0], [5.0])
    else:
        both = host.call(name, model=guided(rig.model, [5.0]), **more)[0]
    torch.testing.assert_close(rig.sample(both, cfg=2.0), wanted, rtol=1e-3, atol=1e-3)
    assert (wanted - rig.sample(rig.model, cfg=5.0)).abs().max() > 0.1


def test_a_part_with_guidance_one_leaves_the_negative_prompt_out(rig):
    """The result is that of both prompts; the image model sees half as many chunks in that part."""
    from comfy.samplers import calc_cond_batch

    seen: list[int] = []

    def counting(args):
        seen.append(sum(cond is not None for cond in args["conds"]))
        return calc_cond_batch(
            *(args[name] for name in ("model", "conds", "input", "sigma", "model_options"))
        )

    other = rig.model.clone()
    other.set_model_sampler_calc_cond_batch_function(counting)
    made = rig.sample(guided(guided(other, [5.0], end=0.5), [1.0], start=0.5), cfg=3.0)
    assert sorted(set(seen)) == [1, 2] and seen == sorted(seen, reverse=True)
    almost = rig.sample(guided(guided(rig.model, [5.0], end=0.5), [1 + 1e-7], start=0.5), cfg=3.0)
    torch.testing.assert_close(made, almost, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(made, rig.sample(rig.model, cfg=5.0), atol=1e-2)


def test_guidance_one_holds_where_the_sampler_changes_its_own_from_frame_to_frame(rig):
    """The video sampler comes to its predictions by another way then."""
    made = rig.sample_video(guided(rig.model, [1.0]), cfg=2.0, cfg_last_frame=6.0)["samples"]
    wanted = rig.sample_video(rig.model, cfg=1.0)["samples"]
    torch.testing.assert_close(made, wanted, rtol=1e-4, atol=1e-4)
