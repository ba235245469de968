"""Known frames in the host: the node, the way through the layers, pinning, and guidance towards them."""

from __future__ import annotations

import pytest
import torch

LATENT = (5, 4, 10, 6)


@pytest.fixture(scope="module")
def video_model(rig):
    return rig.with_layers()


@pytest.fixture(scope="module")
def ignorant_model(rig):
    return rig.with_layers(patcher=rig.stack(known_frames=False))


def clip_with(frames: torch.Tensor, places, shape=LATENT) -> dict:
    from video_ldm.nodes.host.sampling.known import with_frames

    return with_frames({"samples": torch.zeros(shape)}, frames, places)


@pytest.fixture
def latent():
    return clip_with(torch.randn(2, 4, 10, 6, generator=torch.Generator().manual_seed(3)), ((0, 0), (4, 1)))


@pytest.mark.parametrize("model_name", ["video_model", "ignorant_model"])
def test_given_frames_come_out_bit_for_bit(rig, request, latent, model_name):
    made = rig.sample_video(request.getfixturevalue(model_name), latent=latent)["samples"]
    assert torch.equal(made[[0, 4]], latent["samples"][[0, 4]])
    assert not torch.equal(made[2], latent["samples"][2])


@pytest.mark.parametrize("num_frames", [1, 3])
def test_odd_numbers_of_frames(rig, video_model, num_frames):
    given = torch.randn(1, 4, 5, 7)
    made = rig.sample_video(video_model, latent=clip_with(given, ((0, 0),), (num_frames, 4, 5, 7)))["samples"]
    assert torch.equal(made[:1], given) and bool(made.isfinite().all())


def test_layers_see_the_given_frames(rig, video_model, latent):
    """Layers carry what is given at frame 0 to frame 2, whose noisy latent pins do not touch."""
    other = clip_with(torch.randn(2, 4, 10, 6), ((0, 0), (4, 1)))
    one, two = (rig.sample_video(video_model, latent=clip)["samples"] for clip in (latent, other))
    assert not torch.allclose(one[2], two[2], atol=1e-3)


def test_what_reaches_the_layers(rig, video_model, latent, monkeypatch):
    """Chunks for cond and uncond alike, masked, in the sampler's scale."""
    from video_ldm.temporal.stack.stack import TemporalStack

    seen = []
    prepare = TemporalStack.prepare

    def spy(stack, clip, like=None):
        seen.append(clip)
        return prepare(stack, clip, like)

    monkeypatch.setattr(TemporalStack, "prepare", spy)
    rig.sample_video(video_model, latent=latent, steps=1)
    clip = seen[0]
    assert clip.known_mask.tolist() == [1, 0, 0, 0, 1] * 2
    expected = 0.18215 * latent["samples"][0]
    torch.testing.assert_close(clip.known_latents[0], expected)
    torch.testing.assert_close(clip.known_latents[5], expected)


def test_pins_are_only_for_layers_that_do_not_know(rig, video_model, ignorant_model, latent, monkeypatch):
    import comfy.samplers

    masks = []
    outer = comfy.samplers.CFGGuider.sample

    def spy(self, noise, latent_image, sampler, sigmas, denoise_mask=None, *args, **kwargs):
        masks.append(denoise_mask)
        return outer(self, noise, latent_image, sampler, sigmas, denoise_mask, *args, **kwargs)

    monkeypatch.setattr(comfy.samplers.CFGGuider, "sample", spy)
    for model in (video_model, ignorant_model):
        rig.sample_video(model, latent=latent, steps=1)
    assert masks[0] is None
    assert masks[1].flatten(1).mean(1).tolist() == [0, 1, 1, 1, 0]


def test_a_mask_of_the_user_stays_in_the_frames_that_are_not_given(rig, video_model, latent):
    from video_ldm.nodes.host.sampling.known import known_of

    mask = latent["noise_mask"].clone()
    mask[2, :, :5] = 0
    freed = known_of(latent).free(mask)
    assert freed.flatten(1).mean(1).tolist() == [1, 1, 0.5, 1, 1]


def guided(rig, model, latent, **options):
    return rig.sample_video(model, latent=latent, steps=2, cfg=3.0, context_guidance=1.5, **options)[
        "samples"
    ]


def test_context_guidance_is_the_nested_formula(rig, video_model, latent):
    """Against three separate evaluations of the same model."""
    import comfy.samplers
    from video_ldm.nodes.host.sampling.clip import make_guider

    noise = torch.randn(LATENT)

    def run(guider):
        sigmas = torch.tensor([5.0, 0.0])
        with torch.inference_mode():
            return guider.sample(
                noise, latent["samples"], comfy.samplers.sampler_object("euler"), sigmas, seed=0
            )

    def one(conds, known):
        return run(make_guider(video_model, conds, conds, (1.0, 1.0, 1.0), 8.0, known, None))

    no_frames = {"samples": latent["samples"]}
    empty, text = one(rig.negative, no_frames), one(rig.positive, no_frames)
    full = one(rig.positive, latent)
    expected = empty + 3.0 * (text - empty) + 1.5 * (full - text)
    made = run(make_guider(video_model, rig.positive, rig.negative, (3.0, 3.0, 1.5), 8.0, latent, None))
    torch.testing.assert_close(made[1:4], expected[1:4], rtol=1e-3, atol=1e-3 * float(expected.abs().max()))


def test_the_prompt_is_what_known_frames_are_guided_towards(rig, video_model, latent):
    """Against separate evaluations of prompt and negative prompt, both with the known frames."""
    import comfy.samplers
    from video_ldm.nodes.host.sampling.clip import make_guider

    noise = torch.randn(LATENT, generator=torch.Generator().manual_seed(5))

    def made(positive, negative, cfg):
        guider = make_guider(video_model, positive, negative, (cfg, cfg, 1.0), 8.0, latent, None)
        sampler, sigmas = comfy.samplers.sampler_object("euler"), torch.tensor([5.0, 0.0])
        with torch.inference_mode():
            return guider.sample(noise, latent["samples"], sampler, sigmas, seed=0)[1:4]

    text, empty = made(rig.positive, rig.positive, 1.0), made(rig.negative, rig.negative, 1.0)
    assert (text - empty).abs().max() > 1e-2
    expected = empty + 3.0 * (text - empty)
    atol = 1e-3 * float(expected.abs().max())
    torch.testing.assert_close(made(rig.positive, rig.negative, 3.0), expected, rtol=1e-3, atol=atol)


def test_three_evaluations_are_one_call_and_survive_being_split(rig, video_model, latent, monkeypatch):
    sizes = []
    unet = type(rig.model.model.diffusion_model)
    forward = unet.forward

    def spy(self, x, *args, **kwargs):
        sizes.append(len(x))
        return forward(self, x, *args, **kwargs)

    monkeypatch.setattr(unet, "forward", spy)
    whole = guided(rig, video_model, latent)
    assert sizes == [15, 15]
    sizes.clear()
    monkeypatch.setattr(type(rig.model.model), "memory_required", lambda *args, **kwargs: 1e18)
    split = guided(rig, video_model, latent)
    assert sizes == [5] * 6
    torch.testing.assert_close(split, whole, rtol=1e-3, atol=1e-3 * float(whole.abs().max()))


def test_context_guidance_keeps_cfg_edits_and_scales_per_frame(rig, video_model, latent):
    calls = []
    model = video_model.clone()
    model.set_model_sampler_pre_cfg_function(
        lambda args: calls.append(len(args["conds_out"])) or args["conds_out"]
    )
    model.set_model_sampler_post_cfg_function(lambda args: calls.append("post") or args["denoised"])
    plain = guided(rig, model, latent)
    assert calls == [2, "post"] * 2
    assert not torch.equal(guided(rig, model, latent, cfg_last_frame=6.0), plain)


def test_context_guidance_of_one_is_off(rig, video_model, latent, monkeypatch):
    def never(*args):
        raise AssertionError("three evaluations were asked for")

    monkeypatch.setattr("video_ldm.nodes.host.sampling.guider.with_context", never)
    rig.sample_video(video_model, latent=latent, steps=1)


def test_a_noisy_rest_is_not_pasted_over(rig, video_model, latent):
    """Part of a schedule leaves noise in every frame, as the host's advanced sampling expects."""
    import comfy.samplers
    from video_ldm.nodes.host.sampling.clip import make_guider

    guider = make_guider(video_model, rig.positive, rig.negative, (3.0, 3.0, 1.0), 8.0, latent, None)
    with torch.inference_mode():
        made = guider.sample(
            torch.randn(LATENT),
            latent["samples"],
            comfy.samplers.sampler_object("euler"),
            torch.tensor([5.0, 2.0]),
            seed=0,
        )
    assert not torch.equal(made[0], latent["samples"][0])


def test_custom_sampling_with_the_guider(host, rig, video_model, latent):
    from comfy_extras.nodes_custom_sampler import (
        BasicScheduler,
        KSamplerSelect,
        Noise_RandomNoise,
        SamplerCustomAdvanced,
    )
    from video_ldm.nodes.guide import VideoGuiderNode

    with torch.inference_mode():
        guider = VideoGuiderNode.execute(video_model, rig.positive, rig.negative, 3.0, 8.0, latent).result[0]
        sigmas = BasicScheduler.execute(video_model, "normal", 3, 1.0).result[0]
        sampler = KSamplerSelect.execute("euler").result[0]
        made = SamplerCustomAdvanced.execute(Noise_RandomNoise(1), guider, sampler, sigmas, latent).result[0]
    assert torch.equal(made["samples"], rig.sample_video(video_model, latent=latent)["samples"])


def test_two_parts_of_a_schedule_are_one_run(host, rig, video_model, latent):
    """The second part adds no noise: what is given stays as noisy as the rest of the clip."""
    from comfy_extras import nodes_custom_sampler as custom
    from video_ldm.nodes.guide import VideoGuiderNode

    with torch.inference_mode():
        guider = VideoGuiderNode.execute(video_model, rig.positive, rig.negative, 3.0, 8.0, latent).result[0]
        sigmas = custom.BasicScheduler.execute(video_model, "normal", 4, 1.0).result[0]
        sampler = custom.KSamplerSelect.execute("euler").result[0]

        def run(noise, sigmas, latent):
            return custom.SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent).result[0]

        noise = custom.Noise_RandomNoise(1)
        whole = run(noise, sigmas, latent)["samples"]
        high, low = custom.SplitSigmas.execute(sigmas, 2).result
        made = run(custom.Noise_EmptyNoise(), low, run(noise, high, latent))["samples"]
    torch.testing.assert_close(made, whole, rtol=1e-4, atol=1e-4 * float(whole.abs().max()))
    assert torch.equal(made[[0, 4]], latent["samples"][[0, 4]])


def test_guidance_towards_frames_that_no_layers_see_is_refused(rig, ignorant_model, latent):
    from video_ldm.temporal.errors import InvalidInputError

    for model in (ignorant_model, rig.model):
        with pytest.raises(
            InvalidInputError, match=r"^context_guidance is 1\.5, but this MODEL has no temporal layers"
        ):
            rig.sample_video(model, latent=latent, context_guidance=1.5)
        rig.sample_video(model, steps=1, context_guidance=1.5)  # without known frames it says nothing


def test_the_guider_refuses_another_clip(rig, video_model, latent):
    import comfy.samplers
    from video_ldm.nodes.host.sampling.clip import make_guider
    from video_ldm.temporal.errors import InvalidInputError

    guider = make_guider(video_model, rig.positive, rig.negative, (3.0, 3.0, 1.0), 8.0, latent, None)
    with pytest.raises(InvalidInputError, match="Connect the output of Known Frames to both"):
        guider.sample(
            torch.zeros(3, 4, 10, 6),
            torch.zeros(3, 4, 10, 6),
            comfy.samplers.sampler_object("euler"),
            torch.tensor([1.0, 0.0]),
        )


def give(vae, latent, images=(), given=None, pattern="first", every=4, indices="0, -1"):
    from video_ldm.nodes.host.sampling.known_images import give_frames

    with torch.inference_mode():
        return give_frames(latent, vae, images, given, pattern, every, indices)


def test_images_become_known_frames(rig):
    images = [torch.rand(1, 40, 56, 3), torch.rand(2, 40, 56, 3)]
    empty = {"samples": torch.zeros(9, 4, 5, 7)}
    clip = give(rig.vae, empty, images, pattern="every N")
    assert clip["video_ldm_known"].tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    with torch.inference_mode():
        torch.testing.assert_close(clip["samples"][4:5], rig.vae.encode(images[1][:1]))
    assert clip["noise_mask"].flatten(1).mean(1).tolist() == [0, 1, 1, 1, 0, 1, 1, 1, 0]
    assert torch.count_nonzero(empty["samples"]) == 0 and set(empty) == {"samples"}


@pytest.mark.parametrize(("how", "outer"), [("crop", True), ("pad", False), ("stretch", False)])
def test_images_of_any_size_are_fitted_into_the_clip(rig, how, outer):
    """A red picture with a green edge at either end of its longer side, and a smooth middle."""
    from video_ldm.nodes.known import KnownFramesNode

    wide = torch.zeros(1, 80, 240, 3)
    wide[..., 0], wide[:, :, :48], wide[:, :, -48:] = 1, torch.tensor([0.0, 1, 0]), torch.tensor([0.0, 1, 0])
    with torch.inference_mode():
        clip, images = KnownFramesNode.execute(
            {"samples": torch.zeros(5, 4, 5, 7)}, "first", 4, "0", rig.vae, wide, fit=how
        ).result
        torch.testing.assert_close(clip["samples"][:1], rig.vae.encode(images))
    assert images.shape == (1, 40, 56, 3) and 0 <= images.min() and images.max() <= 1
    red, green, _ = images[0, 20].T > 0.5
    assert bool(red[28]) and bool(green[[2, -3]].all()) != outer
    bars = images[0, [0, -1]].max() == 0
    assert bool(bars) == (how == "pad")
    assert float(green.float().mean()) == pytest.approx(0 if outer else 0.4, abs=0.05)


def test_images_of_the_clips_size_are_left_alone_and_none_are_not_shown(rig):
    from video_ldm.nodes.host.sampling.known_images import NO_IMAGES, fit_images, given_images

    image, clip = torch.rand(1, 40, 56, 3), {"samples": torch.zeros(5, 4, 5, 7)}
    assert fit_images(clip, rig.vae, [image], "crop")[0] is image
    assert fit_images(clip, None, [torch.rand(1, 9, 9, 3)], "crop")[0].shape == (1, 9, 9, 3)
    assert given_images([]).message == NO_IMAGES


def test_a_second_node_gives_more(rig):
    first = clip_with(torch.ones(1, 4, 5, 7), ((0, 0),), (5, 4, 5, 7))
    both = give(None, first, given={"samples": 2 * torch.ones(1, 4, 5, 7)}, pattern="last")
    assert both["video_ldm_known"].tolist() == [1, 0, 0, 0, 1]
    assert both["samples"][:, 0, 0, 0].tolist() == [1, 0, 0, 0, 2]


def test_what_cannot_be_given_is_refused(rig):
    from video_ldm.nodes.host.sampling.known import known_of
    from video_ldm.temporal.errors import InvalidInputError

    clip = {"samples": torch.zeros(5, 4, 5, 7)}
    image = torch.rand(1, 40, 56, 3)
    cases = [
        ("connect the VAE", lambda: give(None, clip, [image])),
        (
            "given image is 64 x 40, but the clip is made for 56 x 40",
            lambda: give(rig.vae, clip, [torch.rand(1, 40, 64, 3)]),
        ),
        ("connect images or latents", lambda: give(rig.vae, clip)),
        ("have latents of 7 x 6", lambda: give(None, clip, given={"samples": torch.zeros(1, 4, 6, 7)})),
        ("different sizes", lambda: give(rig.vae, clip, [image], {"samples": torch.zeros(1, 4, 6, 7)})),
        ("given image is 57 x 47, but", lambda: give(rig.vae, clip, [torch.rand(1, 47, 57, 3)])),
        (
            "known frames were given for one of 5",
            lambda: known_of({**give(rig.vae, clip, [image]), "samples": image}),
        ),
    ]
    for message, run in cases:
        with pytest.raises(InvalidInputError, match=message):
            run()


def test_grey_is_that_of_the_hosts_inpainting_models(host):
    from types import SimpleNamespace

    from comfy.model_base import BaseModel
    from video_ldm.temporal.sampling.known_channels import GREY

    holder = SimpleNamespace()
    BaseModel.set_inpaint(holder)
    assert holder.blank_inpaint_image_like(torch.ones(1, 4, 1, 1)).flatten().tolist() == pytest.approx(GREY)
