"""Motion modules through Load Temporal Layers into the host's UNet, against diffusers with the same weights.

diffusers takes the statistics of a module's norm over the clip for every version; the originals do so for the
SDXL beta only, and v1 and HotShot change the image model's norms too. Both are tested.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from . import motion_rig as rig

TOLERANCE = 1e-4
# family: base, middle module, table length, spelling, (clip norm, clip norm of the image model) in the
# original code
FAMILIES = {
    "AnimateDiff v1": ("SD 1.x", False, 24, rig.as_original, (False, True)),
    "AnimateDiff v2": ("SD 1.x", True, 32, rig.as_original, (False, False)),
    "AnimateDiff v3": ("SD 1.x", False, 32, rig.as_original, (False, False)),
    "AnimateDiff Long": ("SD 1.x", True, 64, rig.as_original, (False, False)),
    "AnimateLCM": ("SD 1.x", True, 64, rig.without_tables, (False, False)),
    "AnimateDiff SDXL beta": ("SDXL", False, 32, rig.as_original, (True, False)),
    "HotShot-XL": ("SDXL", False, 24, rig.as_hotshot, (False, True)),
}


@pytest.fixture(autouse=True)
def tiny_bases(monkeypatch):
    from video_ldm.temporal.formats import motion_modules

    bases = {4: ("SD 1.x", rig.TINY_SD1), 3: ("SDXL", rig.TINY_SDXL)}
    monkeypatch.setattr(motion_modules, "BASES", bases)


def error(out, expected):
    return ((out - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_is_the_reference_with_the_norms_of_the_original(load_layers, family):
    base, middle, length, spell, norms = FAMILIES[family]
    unet = rig.reference_unet(base, middle, length)
    rig.norms_of_the_original(unet, *norms)
    image = rig.host_model(base, unet)
    model, report = load_layers(image, spell(rig.motion_weights(unet)))
    assert report.startswith(f"{family} (") and f"for {base}\n" in report
    call = rig.one_call(model)
    assert error(call.out, rig.reference_out(unet, call)) < TOLERANCE
    assert error(rig.one_call(image).out, call.out) > 0.01


@pytest.mark.parametrize("whole", [False, True], ids=["MotionAdapter", "UNetMotionModel"])
def test_a_diffusers_file_is_loaded_as_the_original_computes(load_layers, whole):
    unet = rig.reference_unet("SD 1.x", True, 32)
    weights = unet.state_dict() if whole else rig.motion_weights(unet)
    rig.norms_of_the_original(unet, False, False)
    model, report = load_layers(rig.host_model("SD 1.x", unet), weights)
    assert report.startswith("AnimateDiff v2 (diffusers file)")
    assert ("of an image model (not used)" in report) == whole
    call = rig.one_call(model)
    assert error(call.out, rig.reference_out(unet, call)) < TOLERANCE


def test_with_norms_over_the_clip_it_is_diffusers_itself(load_layers, monkeypatch):
    """The one difference between diffusers and the original is the norm of the module."""
    from video_ldm.temporal.formats import motion_modules

    v2 = motion_modules.FACTS["AnimateDiff v2"]
    unet = rig.reference_unet("SD 1.x", True, 32)
    image, weights = rig.host_model("SD 1.x", unet), rig.motion_weights(unet)
    as_original = rig.one_call(load_layers(image, weights)[0])
    monkeypatch.setitem(motion_modules.FACTS, "AnimateDiff v2", replace(v2, clip_norm=True))
    call = rig.one_call(load_layers(image, weights)[0])
    assert error(call.out, rig.reference_out(unet, call)) < TOLERANCE
    assert error(as_original.out, call.out) > 0.01


def test_a_clip_longer_than_the_table_is_refused_or_squeezed(load_layers):
    from video_ldm.temporal.errors import InvalidInputError

    unet = rig.reference_unet("SD 1.x", True, 32)
    image, weights = rig.host_model("SD 1.x", unet), rig.motion_weights(unet)
    with pytest.raises(InvalidInputError, match=r"33 frames; .* at most 32.*longer_clips"):
        rig.one_call(load_layers(image, weights)[0], frames=33)
    out = rig.one_call(load_layers(image, weights, longer_clips="squeeze")[0], frames=33).out
    assert bool(torch.isfinite(out).all())


def test_a_long_clip_convolved_runs_and_a_short_one_is_as_ever(load_layers):
    unet = rig.reference_unet("SD 1.x", True, 32)
    image, weights = rig.host_model("SD 1.x", unet), rig.motion_weights(unet)
    convolved = load_layers(image, weights, longer_clips="convolve")[0]
    assert bool(torch.isfinite(rig.one_call(convolved, frames=33).out).all())
    short = [rig.one_call(model).out for model in (convolved, load_layers(image, weights)[0])]
    assert torch.equal(*short)


def test_an_unknown_choice_for_longer_clips_is_refused(load_layers):
    from video_ldm.temporal.errors import InvalidInputError

    unet = rig.reference_unet("SD 1.x", True, 32)
    with pytest.raises(InvalidInputError, match=r"'stretch', .* Choose one of refuse, squeeze, convolve"):
        load_layers(rig.host_model("SD 1.x", unet), rig.motion_weights(unet), longer_clips="stretch")


def test_a_strength_above_1_is_the_reference_with_larger_steps(load_layers):
    """A motion module adds what its last projection makes, so more strength is a larger projection."""
    unet = rig.reference_unet("SD 1.x", True, 32)
    image, weights = rig.host_model("SD 1.x", unet), rig.motion_weights(unet)
    rig.norms_of_the_original(unet, False, False)
    strong = rig.one_call(load_layers(image, weights, strength=1.15)[0])
    trained = rig.one_call(load_layers(image, weights)[0])
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            if "motion_modules" in name and ".proj_out." in name:
                weight.mul_(1.15)
    assert error(strong.out, rig.reference_out(unet, strong)) < TOLERANCE
    assert error(trained.out, strong.out) > 0.01


def test_layers_act_only_between_start_and_end(load_layers):
    unet = rig.reference_unet("SD 1.x", True, 32)
    image, weights = rig.host_model("SD 1.x", unet), rig.motion_weights(unet)
    plain = rig.one_call(load_layers(image, weights)[0])
    late = rig.one_call(load_layers(image, weights, start_percent=0.5, schedule="checkpoint")[0])
    assert torch.equal(late.out, rig.one_call(image).out)
    assert not torch.equal(plain.out, late.out)


def test_alpha_by_resolution_and_every_setting_survive_a_clone(load_layers):
    """Alpha 1 everywhere is the image model; at one resolution it is neither that nor the whole."""
    unet = rig.reference_unet("SD 1.x", True, 32)
    image, weights = rig.host_model("SD 1.x", unet), rig.motion_weights(unet)

    def out(**inputs):
        model = load_layers(image, weights, schedule="checkpoint", **inputs)[0]
        return rig.one_call(model.clone()).out

    plain, whole = rig.one_call(image).out, out()
    assert torch.equal(out(alpha_by_level="0: 1, 1: 1, 2: 1, 3: 1"), plain)
    assert torch.equal(
        out(alpha_output=0.3, alpha_by_level="output.0: 0, output.1: 0, output.2: 0, output.3: 0"), whole
    )
    for one in ("0: 1", "output.0: 1"):
        assert not any(torch.equal(out(alpha_by_level=one), other) for other in (plain, whole))
    assert torch.equal(out(start_percent=0.5), plain)


def test_a_resolution_that_the_unet_does_not_have_is_refused(load_layers):
    from video_ldm.temporal.errors import InvalidInputError

    unet = rig.reference_unet("SD 1.x", True, 32)
    image, weights = rig.host_model("SD 1.x", unet), rig.motion_weights(unet)
    with pytest.raises(InvalidInputError, match=r"has 0 \(the finest\) to 3"):
        load_layers(image, weights, alpha_by_level="input.4: 0.5")
