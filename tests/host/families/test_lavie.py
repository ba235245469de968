"""LaVie, SEINE and their relatives through the loaders into the host's UNet, against plain functions.

Both have the same weights.
"""

from __future__ import annotations

import pytest
import torch

from . import lavie_rig as rig

# the host's upscaler, whenever it is made
pytestmark = pytest.mark.filterwarnings(
    "ignore:To copy construct from a tensor:UserWarning", "ignore:__array_wrap__ must:DeprecationWarning"
)
TOLERANCE = 1e-4
# listing: how the report begins, network, given frames of a clip of five
MODELS = {
    "lavie_base": ("LaVie (original", rig.PLAIN, ()),
    "seine": ("SEINE (original", rig.PLAIN, (0,)),
    "lavie_interpolation": ("LaVie interpolation (original", rig.CAUSAL, (0, 4)),
}
UPSCALERS = {"lavie_vsr": "LaVie VSR (original", "upscale_a_video_unet": "Upscale-A-Video (original"}


@pytest.fixture(autouse=True)
def tiny_sizes(host, monkeypatch):
    from video_ldm.temporal import formats

    rig.tell_host(monkeypatch, formats)


@pytest.fixture(scope="module")
def weights():
    """Tiny files, made once."""
    return {name: rig.tiny_weights(name) for name in (*MODELS, *UPSCALERS)}


@pytest.mark.parametrize("name", MODELS)
def test_each_whole_model_is_the_reference(load_model, weights, name):
    start, network, given = MODELS[name]
    model, report = load_model(weights[name])
    assert report.startswith(start) and "sqrt_linear, 0.0001 to 0.02" in report and "Apache-2.0" in report
    call = rig.one_call(model, rig.known_clip(5, given))
    expected = rig.reference_out(weights[name], network, call, 5)
    assert rig.error(call.out, expected) < TOLERANCE
    alone = rig.one_call(load_model(weights[name], strength=0.0)[0], rig.known_clip(5, given))
    assert rig.error(alone.out, call.out) > 0.01
    assert rig.hooks_left(model) == 0


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("name", MODELS)
def test_other_lengths(load_model, weights, name, frames):
    network, given = MODELS[name][1], (0,) if MODELS[name][2] else ()
    call = rig.one_call(load_model(weights[name])[0], rig.known_clip(frames, given))
    assert rig.error(call.out, rig.reference_out(weights[name], network, call, frames)) < TOLERANCE


def test_a_clip_many_times_as_long_runs(load_model, weights):
    model = load_model(weights["lavie_base"])[0]
    assert bool(rig.sample(model, rig.known_clip(70, ())).isfinite().all())


def test_the_noise_levels_are_those_of_the_family(load_model, weights):
    sampling = load_model(weights["lavie_base"])[0].get_model_object("model_sampling")
    alphas = torch.cumprod(1 - torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64), 0)
    torch.testing.assert_close(sampling.sigmas.double(), ((1 - alphas) / alphas).sqrt(), rtol=1e-4, atol=0)
    assert (
        sampling.calculate_denoised(torch.ones(1), torch.ones(1, 4, 1, 1), torch.ones(1, 4, 1, 1)).sum() == 0
    )


def test_seine_sees_a_mask_and_the_given_latents(load_model, weights):
    from video_ldm.temporal.sampling.known_channels import GREY

    latent = rig.known_clip(5, (0, 4))
    call = rig.one_call(load_model(weights["seine"])[0], latent)
    mask, shown = call.x[:, 4:].split([1, 4], dim=1)
    assert mask.flatten(1).mean(1).tolist() == [0, 1, 1, 1, 0] * 2
    expected = 0.18215 * latent["samples"][[0, 4, 0, 4]]
    torch.testing.assert_close(shown[[0, 4, 5, 9]], expected)
    grey = torch.tensor(GREY)[None, :, None, None].expand(6, 4, *rig.SIZE)
    torch.testing.assert_close(shown[[1, 2, 3, 6, 7, 8]], grey)


def test_seine_without_given_frames_makes_all_of_them(load_model, weights):
    call = rig.one_call(load_model(weights["seine"])[0], rig.known_clip(3, ()))
    assert bool((call.x[:, 4] == 1).all()) and rig.error(call.x[:3, 5:], call.x[3:, 5:]) == 0
    assert rig.error(call.out, rig.reference_out(weights["seine"], rig.PLAIN, call, 3)) < TOLERANCE


def test_guidance_towards_given_frames_works_with_seine(load_model, weights):
    model, latent = load_model(weights["seine"])[0], rig.known_clip(3, (0,))
    call = rig.one_call(model, latent, context_guidance=1.5)
    masks = call.x[::3, 4].flatten(1).mean(1).tolist()
    assert sorted(masks) == [0, 1, 1]  # the text with frames, the text without, no text without


def test_interpolation_sees_the_nearest_given_frame(load_model, weights):
    latent = rig.known_clip(9, (0, 4, 8))
    call = rig.one_call(load_model(weights["lavie_interpolation"])[0], latent)
    expected = 0.18215 * latent["samples"][[4 * ((frame + 1) // 4) for frame in range(9)]]
    torch.testing.assert_close(call.x[:9, 4:], expected)
    torch.testing.assert_close(call.x[9:, 4:], expected)


def test_interpolation_in_windows_sees_given_frames_outside_of_the_window(load_model, weights):
    from video_ldm.nodes.host.sampling.windows import add_windows

    model = add_windows(
        load_model(weights["lavie_interpolation"])[0], 4, 0, "standard_static", "pyramid", False, False
    )
    latent = rig.known_clip(8, (0,))
    shown = [call.x[:4, 4:] for call in rig.all_calls(model, latent)]
    expected = 0.18215 * latent["samples"][[0] * 4]
    assert len(shown) == 2
    for channels in shown:
        torch.testing.assert_close(channels, expected)


def test_half_precision_files_load(load_model, weights):
    half = {key: weight.half() for key, weight in weights["lavie_base"].items()}
    call = rig.one_call(load_model(half)[0], rig.known_clip(3, ()))
    rounded = {key: weight.float() for key, weight in half.items()}
    assert rig.error(call.out.float(), rig.reference_out(rounded, rig.PLAIN, call, 3)) < 100 * TOLERANCE


def test_given_frames_come_out_bit_for_bit(load_model, weights):
    latent = rig.known_clip(5, (0, 4))
    made = rig.sample(load_model(weights["lavie_interpolation"])[0], latent, steps=2)
    assert torch.equal(made[[0, 4]], latent["samples"][[0, 4]])


def test_interpolation_without_given_frames_is_refused(load_model, weights):
    from video_ldm.temporal.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match=r"fills in between given frames.*Known Frames"):
        rig.sample(load_model(weights["lavie_interpolation"])[0], rig.known_clip(5, ()))


def test_interpolation_with_context_guidance_is_refused(load_model, weights):
    from video_ldm.temporal.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match=r"context_guidance to 1"):
        rig.sample(
            load_model(weights["lavie_interpolation"])[0], rig.known_clip(5, (0, 4)), context_guidance=1.5
        )


def test_keys_of_other_frames_reach_attention_patches(load_model, weights):
    """Another node that replaces self-attention still gets the keys of the first and the former frame."""
    from comfy.ldm.modules.attention import optimized_attention

    model = load_model(weights["lavie_interpolation"])[0]
    plain, sizes, patched = rig.one_call(model, rig.known_clip(3, (0,))), [], model.clone()

    def attend(q, k, v, options):
        sizes.append((q.shape[1], k.shape[1], v.shape[1]))
        return optimized_attention(q, k, v, options["n_heads"])

    patched.set_model_attn1_replace(attend, "middle", 0)
    call = rig.one_call(patched, rig.known_clip(3, (0,)))
    assert sizes and all(2 * q == k == v for q, k, v in sizes)
    assert rig.error(call.out, plain.out) < TOLERANCE


def test_layers_of_a_whole_model_on_another_are_an_experiment(load_model, load_layers, weights):
    model, report = load_layers(load_model(weights["lavie_base"], strength=0.0)[0], weights["seine"])
    assert "\nExperiment: " in report
    assert rig.one_call(model, rig.known_clip(3, (0,))).x.shape[1] == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"conv_in.bias": None}, r"looks like LaVie, but .* missing: conv_in\.bias\."),
        ({"surprise.weight": torch.zeros(1)}, r"unknown: surprise\.weight\."),
        (
            {"down_blocks.0.resnets.0.conv1.bias": torch.zeros(3)},
            r"conv1\.bias has shape \(3,\), but LaVie has",
        ),
    ],
)
def test_a_damaged_file_names_what_is_wrong(load_model, weights, change, message):
    from video_ldm.temporal.errors import CheckpointFormatError

    changed = {**weights["lavie_base"], **change}
    with pytest.raises(CheckpointFormatError, match=message):
        load_model({key: value for key, value in changed.items() if value is not None})


@pytest.mark.parametrize(
    ("name", "frames"), [("lavie_vsr", 1), ("lavie_vsr", 3), ("lavie_vsr", 5), ("upscale_a_video_unet", 3)]
)
def test_layers_on_the_upscaler_are_the_reference(load_layers, weights, name, frames):
    image = rig.upscaler_model(weights[name])
    model, report = load_layers(image, weights[name])
    assert report.startswith(UPSCALERS[name]) and "for SD x4 upscaler\n" in report
    assert "of an image model (not used)" in report
    call = rig.one_call(model, rig.known_clip(frames, ()))
    expected = rig.reference_out(rig.as_lavie(weights[name]), rig.UPSCALER, call, frames)
    assert rig.error(call.out, expected) < TOLERANCE
    assert rig.hooks_left(model) == 0
    assert rig.error(rig.one_call(image, rig.known_clip(frames, ())).out, call.out) > 0.01


def test_video_upscale_samples_with_them(load_layers, weights):
    """The upscaling node hands them the noisy frames and their level, eight frames at a time."""
    from video_ldm.nodes.upscale_x4 import VideoUpscaleDiffusion

    model, _ = load_layers(rig.upscaler_model(weights["lavie_vsr"]), weights["lavie_vsr"])
    images = torch.rand(9, 8, 10, 3, generator=torch.Generator().manual_seed(0))
    conds = [[[torch.randn(1, 7, rig.TINY_X4.context_dim), {}]] for _ in range(2)]
    values = {
        **{"noise_augmentation": 0.2, "seed": 3, "steps": 1, "cfg": 3.0, "sampler_name": "euler"},
        **{"scheduler": "normal", "fps": 8.0, "context_length": 0, "context_overlap": 1},
        **{"tile_size": 0, "tile_overlap": 2},
    }
    with rig.watched(model) as calls, torch.inference_mode():
        latent, report = VideoUpscaleDiffusion.execute(model, *conds, images, **values).result
    assert latent["samples"].shape == (9, 4, 8, 10) and "no temporal layers" not in report
    assert [len(call.x) for call in calls] == [16, 16] and bool((calls[0].y == 70).all())
    expected = rig.reference_out(weights["lavie_vsr"], rig.UPSCALER, calls[0], 8)
    assert rig.error(calls[0].out, expected) < TOLERANCE


def test_the_upscalers_layers_may_come_without_its_image_model(load_layers, weights):
    whole = weights["lavie_vsr"]
    alone = {key: value for key, value in whole.items() if "temporal" in key}
    image, latent = rig.upscaler_model(whole), rig.known_clip(3, ())
    expected = rig.one_call(load_layers(image, whole)[0], latent).out
    assert torch.equal(rig.one_call(load_layers(image, alone)[0], latent).out, expected)


def test_the_upscaler_gets_the_noise_levels_and_keeps_its_prediction(load_layers, weights):
    from comfy.model_sampling import V_PREDICTION

    model, _ = load_layers(rig.upscaler_model(weights["lavie_vsr"]), weights["lavie_vsr"])
    sampling = model.get_model_object("model_sampling")
    assert isinstance(sampling, V_PREDICTION)
    alphas = torch.cumprod(1 - torch.linspace(0.0001, 0.02, 1000, dtype=torch.float64), 0)
    torch.testing.assert_close(sampling.sigmas.double(), ((1 - alphas) / alphas).sqrt(), rtol=1e-4, atol=0)


def test_the_upscalers_layers_are_refused_on_another_model(load_model, load_layers, weights):
    from video_ldm.temporal.errors import IncompatibleModelError

    model = load_model(weights["lavie_base"])[0]
    with pytest.raises(IncompatibleModelError, match="made for SD x4 upscaler"):
        load_layers(model, weights["lavie_vsr"])


def test_at_strength_zero_the_upscaler_is_itself_to_the_last_bit(load_layers, weights):
    image, latent = rig.upscaler_model(weights["lavie_vsr"]), rig.known_clip(3, ())
    model, _ = load_layers(image, weights["lavie_vsr"], strength=0.0, schedule="checkpoint")
    assert torch.equal(rig.one_call(model, latent).out, rig.one_call(image, latent).out)


def test_nothing_is_left_after_an_error(load_model, weights):
    model = load_model(weights["lavie_interpolation"])[0]

    def fail(*_):
        raise RuntimeError("in the middle")

    broken = model.clone()
    broken.set_model_attn2_replace(fail, "output", 5)
    with pytest.raises(RuntimeError, match="in the middle"):
        rig.sample(broken, rig.known_clip(3, (0,)))
    assert rig.hooks_left(model) == 0
