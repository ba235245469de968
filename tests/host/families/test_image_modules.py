"""PIA and AnimateLCM-I2V through Load Temporal Layers and Known Frames, against diffusers' UNet.

Both have the same weights.

diffusers has PIA, except for the statistics of norms; it has no AnimateLCM-I2V, whose image encoder is the
slow version of tests/reference.py, put in front of the second motion module of each of its down blocks.
"""

from __future__ import annotations

import pytest
import torch
from einops import repeat
from video_ldm.tests import reference

from . import motion_rig as rig

TOLERANCE = 1e-4
SCALE = 0.18215


@pytest.fixture(autouse=True)
def tiny_bases(monkeypatch):
    from video_ldm.temporal.formats import motion_modules

    monkeypatch.setattr(motion_modules, "BASES", {4: ("SD 1.x", rig.TINY_SD1)})


@pytest.fixture(scope="module")
def pia(host):
    """diffusers' PIA with the norms of the original, and the same image model in the host."""
    unet = rig.reference_unet("SD 1.x", False, 32, in_channels=9)
    rig.norms_of_the_original(unet, False, True)
    return unet, rig.host_model("SD 1.x", unet)


@pytest.fixture(scope="module")
def i2v(host):
    """AnimateDiff v2 of diffusers with the original's norms, the image model, and an image encoder."""
    unet = rig.reference_unet("SD 1.x", True, 64)
    rig.norms_of_the_original(unet, False, False)
    return unet, rig.host_model("SD 1.x", unet), encoder_weights()


def encoder_weights():
    """The keys of the published file at the size of the tiny UNet."""
    generator = torch.Generator().manual_seed(5)
    widths = [32, 64, 64, 64]
    convs = {"conv_in": (32, 4, 3)}
    for block in range(8):
        width, before = widths[block // 2], widths[max(block - 1, 0) // 2]
        convs |= {f"body.{block}.in_conv": (width, before, 1)} if width != before else {}
        convs |= {f"body.{block}.block1": (width, width, 3), f"body.{block}.block2": (width, width, 1)}
    weights = {}
    for name, (out, inner, size) in convs.items():
        weights[f"{name}.weight"] = torch.randn(out, inner, size, size, generator=generator) * 0.1
        weights[f"{name}.bias"] = torch.randn(out, generator=generator) * 0.1
    return weights


def pia_weights(unet, spell=rig.as_original):
    """PIA's file: its motion modules, and its convolution with other channels for the latent.

    Those of the image model are others.
    """
    conv = unet.conv_in.weight.detach().clone()
    conv[:, :4] = torch.randn(conv[:, :4].shape, generator=torch.Generator().manual_seed(6))
    return {**spell(rig.motion_weights(unet)), "conv_in.weight": conv, "conv_in.bias": torch.ones(len(conv))}


def clip_from(places, frames=rig.FRAMES, size=rig.SIZE):
    """LATENT whose frames at `places` are given."""
    from video_ldm.nodes.host.sampling.known import with_frames

    given = torch.randn(len(places), 4, *size, generator=torch.Generator().manual_seed(3)) / SCALE
    pairs = tuple((place, number) for number, place in enumerate(places))
    return with_frames({"samples": torch.zeros(frames, 4, *size)}, given, pairs)


def moved(model, preset, custom="", weight=0.8):
    from video_ldm.nodes.image_motion import ImageMotion

    return ImageMotion.execute(model, preset, custom, weight).result[0]


def seen_by_pia(latent, place, affinities):
    """The five channels beside the clip's own, for cond and uncond alike."""
    frames, _, h, w = latent["samples"].shape
    affinity = repeat(torch.tensor(affinities), "f -> (b f) 1 h w", b=2, h=h, w=w)
    image = latent["samples"][place] * SCALE
    return torch.cat([affinity, repeat(image, "c h w -> n c h w", n=2 * frames)], dim=1)


def error(out, expected):
    return ((out - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("spell", [rig.as_original, dict], ids=["original", "diffusers"])
@pytest.mark.parametrize("place", [0, 3])
def test_pia_is_diffusers_with_the_norms_of_the_original(load_layers, pia, spell, place):
    unet, image = pia
    model, report = load_layers(image, pia_weights(unet, spell))
    assert report.startswith("PIA (") and "sqrt_linear, 0.00085 to 0.012\n" in report
    latent = clip_from([place])
    call, _ = rig.one_video_call(model, latent)
    small = [1.0, 0.9, 0.85, 0.85, 0.85]
    affinities = [small[abs(frame - place)] for frame in range(rig.FRAMES)]
    beside = seen_by_pia(latent, place, affinities)
    assert error(call.out, rig.reference_out(unet, call, beside=beside)) < TOLERANCE
    assert error(rig.reference_out(unet, call, beside=beside.flip(0)), call.out) > 0.01


def test_a_whole_unet_of_diffusers_is_pia_without_its_image_model(load_layers, pia):
    unet, image = pia
    _, report = load_layers(image, {**unet.state_dict(), **pia_weights(unet, dict)})
    assert report.startswith("PIA (diffusers file)") and "of an image model (not used)" in report


@pytest.mark.parametrize("frames", [1, 3])
def test_pia_at_odd_sizes_and_numbers_of_frames(load_layers, pia, frames):
    unet, image = pia
    latent = clip_from([0], frames, (9, 11))
    call, _ = rig.one_video_call(load_layers(image, pia_weights(unet))[0], latent)
    beside = seen_by_pia(latent, 0, [1.0, 0.9, 0.85][:frames])
    assert error(call.out, rig.reference_out(unet, call, frames, beside)) < TOLERANCE


def test_the_motion_of_pia_is_the_artists_choice(load_layers, pia):
    unet, image = pia
    model, latent = load_layers(image, pia_weights(unet))[0], clip_from([0])
    for preset, custom, expected in [
        ("large", "", [1.0, 0.8, 0.7, 0.7, 0.7]),
        ("custom", "1, 0.2", [1.0, 0.2, 0.2, 0.2, 0.2]),
    ]:
        call, _ = rig.one_video_call(moved(model, preset, custom).clone(), latent)
        beside = seen_by_pia(latent, 0, expected)
        assert error(call.out, rig.reference_out(unet, call, beside=beside)) < TOLERANCE


@pytest.mark.parametrize(
    ("preset", "across", "expected"),
    [
        ("custom", "frames away", [1.0, 0.2, 0.2]),
        ("loop large", "%", [1.0, 0.5, 1.0]),
    ],
)
def test_the_motion_of_pia_is_shown_as_a_curve(load_layers, pia, monkeypatch, preset, across, expected):
    from video_ldm.nodes.host import shown
    from video_ldm.nodes.image_motion import ImageMotion

    drawn, draw = [], shown.draw_curves
    monkeypatch.setattr(shown, "draw_curves", lambda *args: drawn.append(args) or draw(*args))
    model = load_layers(pia[1], pia_weights(pia[0]))[0]
    files = ImageMotion.execute(model, preset, "1, 0.2", 0.8).ui["images"]
    curves, over = drawn[0]
    (curve,) = curves.values()
    assert over == across and curve[:: len(curve) // 2] == pytest.approx(expected)
    assert files[0]["filename"].endswith(".png")


def test_animatelcm_i2v_is_the_reference_with_features_before_the_second_modules(load_layers, i2v):
    unet, image, encoder = i2v
    weights = rig.without_tables(rig.motion_weights(unet))
    weights |= {f"img_encoder.{key}": value for key, value in encoder.items()}
    model, report = load_layers(image, weights, schedule="checkpoint")
    assert report.startswith("AnimateLCM-I2V (original file)")
    assert "sqrt_linear, 0.00085 to 0.014, consistency sampling from 200 steps\n" in report
    for size, frame_weight in ((rig.SIZE, 0.8), ((9, 11), 0.3)):
        latent = clip_from([0], size=size)
        call, _ = rig.one_video_call(moved(model, "small", weight=frame_weight), latent)
        features = reference.image_features(encoder, latent["samples"][0] * SCALE, rig.FRAMES, frame_weight)
        without = rig.reference_out(unet, call)
        handles = [
            block.motion_modules[1].register_forward_pre_hook(plus(torch.cat([feature] * 2)))
            for block, feature in zip(unet.down_blocks, features, strict=True)
        ]
        try:
            expected = rig.reference_out(unet, call)
        finally:
            for handle in handles:
                handle.remove()
        assert error(call.out, expected) < TOLERANCE
        assert error(without, expected) > 0.01


def plus(feature):
    """Pre-hook that adds to the hidden state."""
    return lambda _module, args: (args[0] + feature, *args[1:])


def i2v_model(load_layers, i2v):
    unet, image, encoder = i2v
    weights = rig.without_tables(rig.motion_weights(unet))
    weights |= {f"img_encoder.{key}": value for key, value in encoder.items()}
    return load_layers(image, weights)[0]


def test_animatelcm_i2v_sets_its_schedule(load_layers, i2v):
    sampling = i2v_model(load_layers, i2v).get_model_object("model_sampling")
    assert sampling.original_timesteps == 200
    betas = torch.linspace(0.00085, 0.014, 1000, dtype=torch.float64)
    last = torch.cumprod(1 - betas, dim=0)[-1]
    assert abs(float(sampling.sigma_max) - float(((1 - last) / last).sqrt())) < 1e-3


def test_animatelcm_i2v_has_no_curve_to_show(load_layers, i2v):
    from video_ldm.nodes.image_motion import ImageMotion

    assert ImageMotion.execute(i2v_model(load_layers, i2v), "small", "", 0.5).ui is None


def test_the_given_frame_stays_unless_it_is_drawn_in_another_style(load_layers, pia):
    unet, image = pia
    model, latent = load_layers(image, pia_weights(unet))[0], clip_from([1])
    for preset, kept in (("small", True), ("style small", False)):
        _, made = rig.one_video_call(moved(model, preset), latent)
        assert torch.equal(made["samples"][1], latent["samples"][1]) == kept


def test_strength_zero_is_the_image_model(load_layers, pia):
    unet, image = pia
    off = load_layers(image, pia_weights(unet), 0.0, schedule="checkpoint")[0]
    latent = clip_from([0])
    call, _ = rig.one_video_call(off, latent)
    plain, _ = rig.one_video_call(image, {"samples": latent["samples"]})
    assert torch.equal(call.x[:5], plain.x[:5]) and torch.equal(call.out, plain.out)


def test_guidance_towards_the_image_runs(load_layers, pia):
    from video_ldm.nodes.host.sampling.clip import SamplerSettings, sample_clip

    unet, image = pia
    model = load_layers(image, pia_weights(unet))[0]
    settings = SamplerSettings(1, 1, 3.0, "euler", "normal", 8.0, context_guidance=1.5)
    with torch.inference_mode(), rig.calls_of(model) as calls:
        made = sample_clip(model, *rig.conditions(), clip_from([0]), settings, None)
    assert len(calls[0].x) == 3 * rig.FRAMES and bool(made["samples"].isfinite().all())


def test_windows_see_the_image_wherever_they_are(load_layers, pia):
    """The second window has no given frame, but the image and its own affinities."""
    from video_ldm.nodes.host.sampling.windows import add_windows

    unet, image = pia
    model = load_layers(image, pia_weights(unet))[0]
    windowed = add_windows(moved(model, "medium"), 4, 1, "standard_static", "pyramid", False, False)
    latent = clip_from([0], 7)
    from video_ldm.nodes.host.sampling.clip import SamplerSettings, sample_clip

    settings = SamplerSettings(1, 1, 3.0, "euler", "normal", 8.0)
    with torch.inference_mode(), rig.calls_of(windowed) as calls:
        sample_clip(windowed, *rig.conditions(), latent, settings, None)
    expected = [1.0, 0.8, 0.8, 0.8, 0.79, 0.78, 0.75]
    whole = seen_by_pia(latent, 0, expected)[:7]
    for call, start in zip(calls, (0, 3), strict=True):
        beside = torch.cat([whole[start : start + 4]] * 2)
        assert error(call.out, rig.reference_out(unet, call, 4, beside)) < TOLERANCE


def test_no_image_is_refused_in_one_sentence(load_layers, pia):
    from video_ldm.temporal.errors import IncompatibleModelError

    unet, image = pia
    model = load_layers(image, pia_weights(unet))[0]
    with pytest.raises(IncompatibleModelError, match=r"^PIA layers animate a given image, .*Known Frames"):
        rig.one_call(model)
    with pytest.raises(IncompatibleModelError, match=r"^PIA layers animate a given image"):
        rig.one_video_call(model, {"samples": torch.zeros(5, 4, *rig.SIZE)})
    with pytest.raises(IncompatibleModelError, match="no layers that animate an image"):
        moved(image, "small")
    assert sum(len(module._forward_hooks) for module in image.model.modules()) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv_in.bias": None}, r"looks like PIA, but .* missing: conv_in\.bias\."),
        ({"conv_in.weight": torch.zeros(16, 9, 3, 3)}, r"has shape \(16, 4, 3, 3\), but \(32, 4, 3, 3\)"),
        ({"fps_embedding.linear.weight": torch.zeros(1)}, "it is FancyVideo"),
    ],
)
def test_a_damaged_pia_names_what_is_wrong(load_layers, pia, change, message):
    from video_ldm.temporal.errors import CheckpointFormatError

    unet, image = pia
    weights = {key: value for key, value in {**pia_weights(unet), **change}.items() if value is not None}
    with pytest.raises(CheckpointFormatError, match=message):
        load_layers(image, weights)
