"""Load Video Model: whole video models into the host's UNet, against diffusers with the same weights."""

from __future__ import annotations

import pytest
import torch
from video_ldm.tests.damage_trial import trial

from . import video_rig as rig

TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def tiny_sizes(host, monkeypatch):
    """The families in a size for tests, and the host told of it as of any other model."""
    import comfy.supported_models as supported
    from video_ldm.temporal.formats import lvdm, svd
    from video_ldm.temporal.stack import plan

    monkeypatch.setattr(supported, "models", [*supported.models, *rig.tiny_kinds()])
    monkeypatch.setattr(lvdm, "SHAPE", rig.tiny_shape(plan))
    monkeypatch.setattr(svd, "SHAPE", rig.tiny_shape(plan))


@pytest.mark.parametrize("frames", [1, 3, 5])
@pytest.mark.parametrize("spelling", ["original", "diffusers"])
def test_modelscope_is_the_reference(load_model, spelling, frames):
    unet = rig.modelscope()
    weights = rig.modelscope_as_published(unet) if spelling == "original" else unet.state_dict()
    model, report = load_model(weights)
    assert report.startswith(f"ModelScope or ZeroScope ({spelling} file)")
    assert f"Keys: {len(weights)} used" in report and "CC-BY-NC" in report
    call = rig.one_call(model, frames)
    assert rig.error(call.out, rig.modelscope_out(unet, call, frames)) < TOLERANCE


def test_at_strength_zero_it_is_the_image_model_alone(load_model):
    weights = rig.modelscope().state_dict()
    model, _ = load_model(weights, strength=0.0)
    plain = model.clone()
    plain.additional_models, plain.wrappers, plain.attachments = {}, {}, {}
    assert torch.equal(rig.one_call(model).out, rig.one_call(plain).out)
    assert rig.error(rig.one_call(load_model(weights)[0]).out, rig.one_call(plain).out) > 0.01


def sgm_names():
    """Names of the host for the reference's weights, as the host's own UNet lists them."""
    from video_ldm.temporal.formats.svd import svd_names

    return {other: host for host, other in svd_names().items()}


@pytest.mark.parametrize("spelling", ["original", "diffusers"])
def test_svd_is_the_reference(load_model, spelling):
    unet = rig.svd()
    weights, names = unet.state_dict(), sgm_names()
    if spelling == "original":
        weights = {f"model.diffusion_model.{names[key]}": value for key, value in weights.items()}
    model, report = load_model(weights)
    assert type(model.model).__name__ == "SVD_img2vid" and report.startswith(
        f"Stable Video Diffusion ({spelling} "
    )
    call = rig.one_call(model, positive={"concat_latent_image": torch.randn(1, 4, *rig.SIZE)})
    assert rig.error(call.out, rig.svd_out(unet, call)) < TOLERANCE


FPS = 24.0


@pytest.mark.parametrize(
    "family", ["VideoCrafter2", "VideoCrafter1 for 1024 x 576", "VideoCrafter1 for 512 x 320"]
)
@pytest.mark.parametrize("frames", [3, 20])
def test_videocrafter_is_the_reference(load_model, family, frames):
    from video_ldm.nodes.host.layers.attached.settings import ClipSettings, set_clip_settings

    unet, extra, convs = rig.modelscope(), {}, family == "VideoCrafter2"
    if "512" not in family:
        extra |= rig.frame_rate_weights()
        rig.add_frame_rate(unet, extra, FPS)
    if not convs:
        extra |= rig.add_relative_positions(unet, reach=16)
        rig.without_convs(unet)
    model, report = load_model(rig.videocrafter_as_published(unet, extra, convs))
    assert report.startswith(f"{family} (original file)")
    call = rig.one_call(set_clip_settings(model, ClipSettings(FPS)), frames)
    assert rig.error(call.out, rig.modelscope_out(unet, call, frames)) < TOLERANCE


def test_videocrafter_is_told_its_usual_frame_rate_where_nobody_says_otherwise(load_model):
    from video_ldm.nodes.host.layers.attached.settings import ClipSettings, set_clip_settings

    unet, extra = rig.modelscope(), rig.frame_rate_weights()
    model, _ = load_model(rig.videocrafter_as_published(unet, extra, convs=True))
    usual, slow = rig.one_call(model).out, rig.one_call(set_clip_settings(model, ClipSettings(8.0))).out
    assert torch.equal(usual, rig.one_call(set_clip_settings(model, ClipSettings(28.0))).out)
    assert rig.error(slow, usual) > 1e-3


def test_scaled_latents_are_folded_into_the_noise_levels(load_model):
    """Against the definition.

    X_t = sqrt(a) s x0 + sqrt(1 - a) noise, s falling from 1 to 0.7 in 400 steps.
    """
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    a = torch.cumprod(1 - betas, 0)
    s = torch.cat(
        [torch.linspace(1, 0.7, 400, dtype=torch.float64), torch.full((600,), 0.7, dtype=torch.float64)]
    )
    model, _ = load_model(
        rig.videocrafter_as_published(rig.modelscope(), rig.frame_rate_weights(), convs=True)
    )
    sampling = model.get_model_object("model_sampling")
    x0, noise = torch.randn(1, 4, 2, 3).double(), torch.randn(1, 4, 2, 3).double()
    for t in (0, 17, 399, 400, 999):
        sigma = sampling.sigmas[t : t + 1].double()
        seen = sampling.calculate_input(sigma, x0 + sigma * noise)
        torch.testing.assert_close(
            seen, a[t].sqrt() * s[t] * x0 + (1 - a[t]).sqrt() * noise, rtol=1e-4, atol=1e-4
        )
        torch.testing.assert_close(
            sampling.calculate_denoised(sigma, noise, x0 + sigma * noise), x0, rtol=1e-5, atol=1e-5
        )
    start = sampling.noise_scaling(sigma, noise, torch.zeros_like(noise), max_denoise=True)
    torch.testing.assert_close(sampling.calculate_input(sigma, start), noise)
    torch.testing.assert_close(rig.one_call(model).x.std(), torch.tensor(1.0), rtol=0.1, atol=0)


def test_the_prediction_is_that_of_the_family_whatever_the_host_guesses(load_model):
    """The host takes SD 2.x for v-prediction where one bias varies much."""
    from comfy.model_base import ModelType

    weights = rig.modelscope().state_dict()
    telltale = "up_blocks.3.attentions.2.transformer_blocks.0.norm1.bias"
    model, _ = load_model({**weights, telltale: 3 * torch.randn_like(weights[telltale])})
    assert model.model.model_type == ModelType.EPS


def test_it_samples_with_both_samplers(load_model):
    from ..rig import Rig

    rig_of_host = Rig()
    model, _ = load_model(rig.modelscope().state_dict())
    text = [[torch.randn(1, 7, rig.TEXT), {}]]
    rig_of_host.positive = rig_of_host.negative = text
    host, ours = rig_of_host.sample(model), rig_of_host.sample_video(model)["samples"]
    assert bool(torch.isfinite(host).all()) and torch.equal(host, ours)
    assert not any(module._forward_hooks for module in model.model.modules())


def test_its_layers_on_another_image_model_are_an_experiment_where_they_fit(load_model, load_layers):
    from video_ldm.temporal.errors import IncompatibleModelError

    from ..rig import Rig

    weights = rig.modelscope().state_dict()
    image, _ = load_model(weights)
    _, report = load_layers(image, weights)
    assert "Experiment: the image model in this file was trained along" in report
    with pytest.raises(IncompatibleModelError, match=r"made for SD 2\.x"):
        load_layers(Rig().model, weights)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"weight": torch.zeros(1)}, "is no video model that can be read"),
        ({"input_blocks.0.0.weight": torch.zeros(1), "a.temp_convs.b": torch.zeros(1)}, "is no video model"),
    ],
)
def test_another_file_is_refused_in_one_sentence(load_model, weights, message):
    from video_ldm.temporal.errors import CheckpointFormatError

    with pytest.raises(CheckpointFormatError, match=message):
        load_model(weights)


def test_sizes_the_host_does_not_know_are_refused(load_model, monkeypatch):
    import comfy.supported_models as supported
    from video_ldm.temporal.errors import CheckpointFormatError

    monkeypatch.setattr(supported, "models", supported.models[: -len(rig.tiny_kinds())])
    with pytest.raises(CheckpointFormatError, match="the host knows no image model with the sizes"):
        load_model(rig.modelscope().state_dict())


def test_a_file_that_is_gone_is_named(host):
    from video_ldm.nodes.video_model import LoadVideoModel
    from video_ldm.temporal.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match=r"no file 'gone\.ckpt' in models/checkpoints or models/diff"):
        LoadVideoModel.execute("gone.ckpt")


PUBLISHED = {
    "svd_unet_original": "SVD_img2vid",
    "svd_unet_diffusers": "SVD_img2vid",
    "modelscope_t2v_original": "SD20",
    "modelscope_t2v_diffusers": "SD20",
    "videocrafter1_t2v_512": "SD20",
    "videocrafter1_t2v_1024": "SD20",
    "videocrafter2_t2v": "SD20",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_host_recognises_the_published_sizes(monkeypatch, name):
    """By names and shapes alone; the weights take no memory."""
    from comfy.model_detection import model_config_from_unet
    from video_ldm.temporal import formats
    from video_ldm.temporal.formats import keys, lvdm, svd
    from video_ldm.temporal.stack.plan import SD2, UNetShape
    from video_ldm.tests.temporal.formats.test_listings import published, same_keys_and_shapes

    monkeypatch.setattr(lvdm, "SHAPE", SD2)
    monkeypatch.setattr(svd, "SHAPE", SD2)
    monkeypatch.setattr(lvdm, "assign_weights", same_keys_and_shapes)
    monkeypatch.setattr(keys, "check_numbers", lambda *_: None)
    monkeypatch.setattr(formats, "read_weights", lambda _: published(name))
    video = formats.open_video_model("ignored")
    config = model_config_from_unet(dict(video.image), "")
    assert type(config).__name__ == PUBLISHED[name]
    assert video.stack is None or video.stack.config.unet == UNetShape.from_config(config.unet_config)


def test_half_precision_weights_are_cast_as_they_are_used(load_model):
    unet, extra = rig.modelscope(), rig.frame_rate_weights()
    rig.add_frame_rate(unet, extra, 28.0)
    extra |= rig.add_relative_positions(unet, reach=16)
    rig.without_convs(unet)
    weights = rig.videocrafter_as_published(unet, extra, convs=False)
    model, _ = load_model({key: value.half() for key, value in weights.items()})
    stack = model.get_additional_models_with_key("video_ldm")[0].model
    assert {parameter.dtype for parameter in stack.parameters()} == {torch.float16}
    call = rig.one_call(model)
    assert rig.error(call.out, rig.modelscope_out(unet, call)) < 0.02


@pytest.mark.parametrize("spelling", ["diffusers", "original"])
def test_a_damaged_svd_is_refused_in_a_sentence_or_can_be_used(tmp_path, monkeypatch, spelling):
    import folder_paths
    from safetensors.torch import save
    from video_ldm.nodes.video_model import LoadVideoModel

    weights = rig.svd().state_dict()
    if spelling == "original":
        names = sgm_names()
        weights = {f"model.diffusion_model.{names[key]}": value for key, value in weights.items()}
    good = save({key: value.half().contiguous() for key, value in weights.items()})
    places = {**folder_paths.folder_names_and_paths, "diffusion_models": ([str(tmp_path)], {".safetensors"})}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", places)

    def opened(path):
        return LoadVideoModel.execute(path.name).result[0].model.diffusion_model.state_dict()

    ends = trial(tmp_path / "bad.safetensors", good, opened)
    assert ends["refused"] > 5, ends


def test_svd_samples_with_a_guidance_that_rises_over_the_frames(load_model):
    from ..rig import Rig

    model, _ = load_model(rig.svd().state_dict())
    rig_of_host, picture = Rig(), torch.randn(1, 4, 10, 6)
    rig_of_host.positive = [[torch.randn(1, 1, rig.TEXT), {"concat_latent_image": picture}]]
    rig_of_host.negative = [[torch.zeros(1, 1, rig.TEXT), {"concat_latent_image": torch.zeros_like(picture)}]]
    level = rig_of_host.sample_video(model, cfg=1.0)["samples"]
    rising = rig_of_host.sample_video(model, cfg=1.0, cfg_last_frame=2.5)["samples"]
    assert bool(torch.isfinite(rising).all()) and not torch.equal(level, rising)


def test_alpha_by_level_and_part_of_the_sampling_reach_the_layers(load_model):
    weights = rig.modelscope().state_dict()
    whole = rig.one_call(load_model(weights)[0]).out
    plain = rig.one_call(load_model(weights, strength=0.0)[0]).out

    def out(**inputs):
        return rig.one_call(load_model(weights, **inputs)[0]).out

    everywhere = {"alpha_input": 1.0, "alpha_middle": 1.0, "alpha_output": 1.0}
    for silent in (everywhere, {"alpha_by_level": "0: 1, 1: 1, 2: 1, 3: 1"}, {"start_percent": 0.5}):
        assert torch.equal(out(**silent), plain)
    for part in ({"alpha_output": 1.0}, {"alpha_by_level": "0: 1"}, {"strength": 1.15}):
        assert not any(torch.equal(out(**part), other) for other in (plain, whole))
    assert torch.equal(out(end_percent=0.5), whole)


@pytest.mark.parametrize(
    "inputs", [{"strength": 0.8}, {"alpha_middle": 1.0}, {"end_percent": 0.5}, {"alpha_by_level": "0: 1"}]
)
def test_what_svd_cannot_do_is_refused(load_model, inputs):
    from video_ldm.temporal.errors import InvalidInputError

    weights = rig.svd().state_dict()
    with pytest.raises(
        InvalidInputError, match=f"^{next(iter(inputs))} cannot change Stable Video Diffusion"
    ):
        load_model(weights, **inputs)
