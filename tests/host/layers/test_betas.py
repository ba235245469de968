"""The noise schedule on the MODEL is the one of the family, as diffusers' schedulers compute it."""

from __future__ import annotations

import diffusers
import pytest
import torch
from safetensors.torch import load_file
from video_ldm.temporal.formats import motion_modules
from video_ldm.temporal.formats.convert import write
from video_ldm.temporal.formats.facts import FACTS
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack

from ..families import motion_rig as rig

CHOICES = (
    "linear", "sqrt_linear", "lcm_linear", "lcm_sqrt_linear", "linear_sdxl", "lcm_linear_50",
    "lcm_sqrt_linear_50", "cosine", "sqrt", "squaredcos_cap_v2",
)  # fmt: skip
NAMES = {"linear": "scaled_linear", "sqrt_linear": "linear"}  # of the host, and of diffusers
PUBLISHED = {  # diffusers' names, as in each family's own settings
    "AnimateDiff v1": ("linear", 0.012),
    "AnimateDiff v2": ("linear", 0.012),
    "AnimateDiff v3": ("linear", 0.012),
    "AnimateDiff Long": ("linear", 0.012),
    "AnimateDiff SDXL beta": ("scaled_linear", 0.020),
    "HotShot-XL": ("scaled_linear", 0.012),
}


@pytest.fixture(scope="module")
def model(host):
    return rig.host_model("SD 1.x", rig.reference_unet("SD 1.x", False, 32))


def sigmas(betas, end):
    scheduler = diffusers.DDPMScheduler(beta_schedule=betas, beta_start=0.00085, beta_end=end)
    return ((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod) ** 0.5


def scheduled(model, choice, family):
    from video_ldm.nodes.host.layers.betas import with_betas

    trained = FACTS[family].betas if family else None
    return with_betas(model, choice, trained).get_model_object("model_sampling")


@pytest.mark.parametrize("family", PUBLISHED)
def test_auto_is_the_schedule_of_the_family(model, family):
    expected = sigmas(*PUBLISHED[family])
    torch.testing.assert_close(scheduled(model, "auto", family).sigmas, expected, rtol=1e-3, atol=1e-5)


def test_animatelcm_is_sampled_as_a_consistency_model(model):
    from comfy_extras.nodes_model_advanced import LCM

    sampling = scheduled(model, "auto", "AnimateLCM")
    assert isinstance(sampling, LCM)
    torch.testing.assert_close(sampling.sigmas, sigmas("linear", 0.012)[9::10], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("choice", ["linear", "sqrt_linear"])
def test_an_override_counts(model, choice):
    expected = sigmas(NAMES[choice], 0.012)
    found = scheduled(model, choice, "AnimateDiff SDXL beta").sigmas
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def test_the_checkpoints_own_stays_where_it_is_asked_for_or_nothing_is_known(model):
    own = model.get_model_object("model_sampling")
    assert scheduled(model, "checkpoint", "AnimateDiff v2") is own
    assert scheduled(model, "auto", None) is own


@pytest.mark.parametrize("zsnr", [False, True])
def test_a_terminal_signal_of_zero_stays_with_the_model(model, zsnr):
    """The zsnr that Rescale CFG users set on a v model is not lost when layers bring betas."""
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    v_model = ModelSamplingDiscrete().patch(model, "v_prediction", zsnr)[0]
    sampling = scheduled(v_model, "auto", "AnimateDiff v2")
    assert (float(sampling.sigmas[-1]) > 1000) is zsnr


def test_a_model_that_predicts_v_still_does(model):
    from comfy.model_sampling import V_PREDICTION
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    v_model = ModelSamplingDiscrete().patch(model, "v_prediction", False)[0]
    sampling = scheduled(v_model, "auto", "AnimateDiff v2")
    assert isinstance(sampling, V_PREDICTION)
    torch.testing.assert_close(sampling.sigmas, sigmas("linear", 0.012), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_choice_makes_noise_levels_that_rise(model, choice):
    found = scheduled(model, choice, None).sigmas
    assert bool(torch.isfinite(found).all()) and bool((found.diff() >= 0).all()) and found[0] > 0


def test_the_squared_cosine_is_that_of_diffusers(model):
    found = scheduled(model, "squaredcos_cap_v2", None).sigmas
    expected = sigmas("squaredcos_cap_v2", 0.012)
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-5)


def test_a_distilled_model_has_every_tenth_level_of_the_squared_cosine(model):
    from video_ldm.nodes.host.layers.betas import with_betas

    distilled = with_betas(model, "lcm_linear", None)
    assert len(distilled.get_model_object("model_sampling").sigmas) == 100
    found = with_betas(distilled, "squaredcos_cap_v2", None).get_model_object("model_sampling").sigmas
    torch.testing.assert_close(found, sigmas("squaredcos_cap_v2", 0.012)[9::10], rtol=2e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("choice", "parts"),
    [("average", ("linear", "sqrt_linear")), ("lcm_average_50", ("lcm_linear_50", "lcm_sqrt_linear_50"))],
)
def test_an_average_lies_between_its_two(model, choice, parts):
    one, other = (scheduled(model, part, None).sigmas for part in parts)
    found = scheduled(model, choice, None)
    torch.testing.assert_close(found.sigmas, (one + other) / 2)
    torch.testing.assert_close(found.log_sigmas, found.sigmas.log())


@pytest.mark.parametrize(
    ("family", "same_as"), [("AnimateLCM", "lcm_linear_50"), ("AnimateDiff v3", "sqrt_linear")]
)
def test_what_the_old_pack_chose_by_itself(model, load_layers, tmp_path, monkeypatch, family, same_as):
    monkeypatch.setattr(motion_modules, "BASES", {4: ("SD 1.x", rig.TINY_SD1)})
    motion = MotionConfig(family == "AnimateLCM", False, False)
    config = StackConfig(rig.TINY_SD1, "SD 1.x", 64, False, False, family, motion=motion)
    write(tmp_path / "layers.safetensors", TemporalStack(config), "original")
    old, _ = load_layers(model, load_file(tmp_path / "layers.safetensors"), schedule="as AnimateDiff-Evolved")
    found = old.get_model_object("model_sampling").sigmas
    torch.testing.assert_close(found, scheduled(model, same_as, None).sigmas)
