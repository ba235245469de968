"""Video Upscale (SD x4) with a small upscaler that the host's own classes build and sample."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from video_ldm.tests.host.sampling import tiny_x4

FRAMES, SIZE = 5, (10, 6)
VALUES = {
    "noise_augmentation": 0.2, "seed": 3, "steps": 2, "cfg": 3.0, "sampler_name": "euler",
    "scheduler": "normal", "fps": 8.0, "context_length": 0, "context_overlap": 1, "tile_size": 0,
    "tile_overlap": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def model(host):
    """MODEL: the x4 upscaler in every respect but size, all weights random."""
    return tiny_x4.model()


@pytest.fixture(scope="module")
def conds():
    generator = torch.Generator().manual_seed(2)
    return [[[torch.randn(1, 7, 16, generator=generator), {}]] for _ in range(2)]


@pytest.fixture(scope="module")
def images():
    return torch.rand(FRAMES, *SIZE, 3, generator=torch.Generator().manual_seed(1))


def with_layers(model, max_frames=8, scale=0.1):
    import comfy.model_management as mm
    import comfy.ops
    from video_ldm.nodes.host.layers.attached.settings import LayerSettings
    from video_ldm.nodes.host.layers.insertion import add_temporal_layers
    from video_ldm.nodes.host.layers.shapes import unet_shape
    from video_ldm.nodes.host.patcher import new_patcher
    from video_ldm.temporal.stack.stack import StackConfig, TemporalStack

    config = StackConfig(unet_shape(model), "x4", max_frames, False, True, prediction="v")
    stack = TemporalStack(config, ops=comfy.ops.manual_cast)
    torch.manual_seed(4)
    for parameter in stack.parameters():
        nn.init.normal_(parameter, std=scale)
    return add_temporal_layers(model, new_patcher(stack, mm.unet_offload_device()), LayerSettings())


def upscale(host, model, conds, images, **changes):
    from video_ldm.nodes.upscale_x4 import VideoUpscaleDiffusion

    with torch.inference_mode():
        latent, report = VideoUpscaleDiffusion.execute(model, *conds, images, **{**VALUES, **changes}).result
    return latent["samples"], report


def in_the_host(model, conds, images, amount):
    """The host's own way: its conditioning node and its KSampler."""
    from comfy_extras.nodes_sdupscale import SD_4XUpscale_Conditioning

    import nodes

    with torch.inference_mode():
        result = SD_4XUpscale_Conditioning.execute(images, *conds, 4.0, amount).result
        positive, negative, latent = result
        return nodes.common_ksampler(model, 3, 2, 3.0, "euler", "normal", positive, negative, latent)[0][
            "samples"
        ]


def test_without_noise_augmentation_it_is_what_the_host_makes(host, model, conds, images):
    """With temporal layers of strength 0 the clip's noise is the host's, so every frame is the same."""
    layered = with_layers(model, scale=0)
    made, _ = upscale(host, layered, conds, images, noise_augmentation=0.0)
    assert made.shape == (FRAMES, 4, *SIZE)
    torch.testing.assert_close(made, in_the_host(model, conds, images, 0.0), atol=1e-4, rtol=1e-4)


def test_the_level_and_the_noisy_frames_reach_the_unet(host, model, conds, images):
    """For every frame, window and tile: level 70 of 350, and noise drawn once for the clip."""
    calls = []
    unet = model.model.diffusion_model
    handle = unet.register_forward_hook(
        lambda _m, args, kwargs, _o: calls.append((args[0][:, 4:], kwargs["y"])), with_kwargs=True
    )
    layered = with_layers(model, scale=0)
    try:
        upscale(host, layered, conds, images, steps=1, cfg=1.0)
        upscale(host, layered, conds, images, steps=1, cfg=1.0, context_length=3)
        upscale(host, layered, conds, images, steps=1, cfg=1.0, tile_size=8)
        upscale(host, layered, conds, images[:3], steps=1, cfg=1.0)
    finally:
        handle.remove()
    whole = calls[0][0]
    pixels = images.permute(0, 3, 1, 2) * 2 - 1
    alpha = model.model.noise_augmentor.alphas_cumprod[70]
    noise = (whole - alpha.sqrt() * pixels) / (1 - alpha).sqrt()
    assert noise.std() == pytest.approx(1, abs=0.1) and abs(noise.mean()) < 0.1
    assert all(bool((y == 70).all()) and len(y) == len(seen) for seen, y in calls)
    assert torch.equal(calls[1][0], whole[0:3]) and torch.equal(calls[2][0], whole[2:5])
    assert torch.equal(calls[3][0], whole[..., :8, :]) and torch.equal(calls[4][0], whole[..., 2:, :])
    assert torch.equal(calls[5][0], whole[:3])


def test_without_temporal_layers_still_frames_stay_still_and_it_says_so(host, model, conds, images):
    still = images[:1].expand(FRAMES, -1, -1, -1)
    made, report = upscale(host, model, conds, still)
    torch.testing.assert_close(made, made[:1].expand_as(made), atol=1e-4, rtol=1e-4)
    assert "no temporal layers, so all frames share one noise" in report
    layered, report = upscale(host, with_layers(model), conds, still)
    assert not torch.allclose(layered[0], layered[1], atol=1e-2)
    assert "share one noise" not in report and "5 frames of 6 x 10 become 24 x 40" in report


def test_temporal_layers_take_part(host, model, conds, images):
    plain, active = (upscale(host, with_layers(model, scale=s), conds, images)[0] for s in (0, 0.1))
    assert not torch.allclose(plain, active, atol=1e-2)


def test_a_clip_longer_than_the_layers_know_goes_in_windows(host, model, conds):
    images = torch.rand(9, *SIZE, 3)
    made, _ = upscale(host, with_layers(model, max_frames=4), conds, images)
    assert made.shape == (9, 4, *SIZE) and bool(torch.isfinite(made).all())


def test_nothing_is_left_on_the_model_after_an_interrupt(host, model, conds, images):
    import comfy.model_management as mm

    layered = with_layers(model)
    expected, _ = upscale(host, layered, conds, images, tile_size=8)
    mm.interrupt_current_processing()
    with pytest.raises(mm.InterruptProcessingException):
        upscale(host, layered, conds, images, tile_size=8)
    assert not sum(len(m._forward_hooks) for m in model.model.modules())
    again, _ = upscale(host, layered, conds, images, tile_size=8)
    assert torch.equal(again, expected)
    assert all(options.keys() == set() for _, options in (*conds[0], *conds[1]))


def test_another_model_is_refused(host, images):
    from ..rig import Rig

    rig = Rig()
    texts = [rig.encode("a boat"), rig.encode("")]
    with pytest.raises(ValueError, match=r"model is a BaseModel.*x4-upscaler-ema.*Video Upscale"):
        upscale(host, rig.model, texts, images)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"context_length": 3, "context_overlap": 3}, "Windows of 3 frames cannot overlap by 3"),
        ({"tile_size": 8, "tile_overlap": 8}, "Tiles of 8 pixels cannot overlap by 8"),
    ],
)
def test_sizes_that_do_not_go_together_are_refused(host, model, conds, images, changes, message):
    with pytest.raises(ValueError, match=message):
        upscale(host, model, conds, images, **changes)


def test_images_that_do_not_fit_are_refused(host, model, conds):
    with pytest.raises(ValueError, match=r"shape \(2, 8, 8, 4\).*alpha channel"):
        upscale(host, model, conds, torch.zeros(2, 8, 8, 4))


def test_what_no_device_can_hold_is_refused_before_it_begins(host, model, conds, images, monkeypatch):
    import comfy.model_management as mm

    monkeypatch.setattr(mm, "get_total_memory", lambda device=None: 2**10)
    with pytest.raises(ValueError, match=r"The device has 0\.00 GB\. Set a smaller tile_size"):
        upscale(host, model, conds, images)


def test_the_announced_memory_is_that_of_the_unet_whatever_the_hosts_guess(host, model):
    """0.53 GB were measured for 4 frames of 256 x 256 and 32 channels, by benchmarks/cost/reference_size."""
    from video_ldm.nodes.host.sampling.upscale_x4_memory import step_memory

    assert 1 < step_memory(model, [4, 4, 256, 256]) / (0.53 * 2**30) < 1.5
    assert step_memory(model, [16, 4, 256, 256]) == 4 * step_memory(model, [4, 4, 256, 256])


def test_what_it_needs_is_said_before_it_begins(host, model, conds, images, monkeypatch):
    from video_ldm.nodes.host.sampling import upscale_x4

    events, inner = [], upscale_x4.sample_clip
    monkeypatch.setattr(upscale_x4, "say", events.append)
    monkeypatch.setattr(upscale_x4, "sample_clip", lambda *given: events.append("begun") or inner(*given))
    _, report = upscale(host, model, conds, images)
    assert events == [report, "begun"]
    assert "GB for a step with prompt and negative prompt together" in report
