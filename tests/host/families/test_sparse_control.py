"""SparseCtrl through Load Sparse Control, the host's Apply ControlNet and Video KSampler, against diffusers.

diffusers takes the statistics of a motion module's norm over the clip, the original over each frame: the one
difference.
"""

from __future__ import annotations

import pytest
import torch
from einops import rearrange
from safetensors.torch import save_file
from video_ldm.tests.damage_trial import trial

from . import motion_rig as rig

TOLERANCE = 1e-4
SCALE = 0.18215
KINDS = ("rgb", "scribble")


@pytest.fixture(autouse=True)
def tiny_bases(monkeypatch):
    from video_ldm.temporal.formats import motion_modules

    monkeypatch.setattr(motion_modules, "BASES", {4: ("SD 1.x", rig.TINY_SD1)})


@pytest.fixture(scope="module")
def unet(host):
    """diffusers' AnimateDiff v3 with the norms of the original."""
    unet = rig.reference_unet("SD 1.x", False, 32)
    rig.norms_of_the_original(unet, False, False)
    return unet


@pytest.fixture(scope="module")
def image(unet):
    return rig.host_model("SD 1.x", unet)


@pytest.fixture(scope="module")
def vae(host):
    from ..rig import Rig

    return Rig().vae


def reference_control(kind):
    """diffusers' SparseControlNetModel with random weights that all count, and the original's norms."""
    from diffusers.models.controlnets.controlnet_sparsectrl import SparseControlNetModel

    torch.manual_seed(4)
    control = SparseControlNetModel(
        conditioning_channels={"rgb": 4, "scribble": 3}[kind],
        down_block_types=(*["CrossAttnDownBlockMotion"] * 3, "DownBlockMotion"),
        block_out_channels=(32, 64, 64, 64),
        cross_attention_dim=24,
        attention_head_dim=8,
        use_simplified_condition_embedding=kind == "rgb",
    ).eval()
    with torch.no_grad():
        for parameter in control.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    rig.norms_of_the_original(control, False, False)
    return control


def file_of(control, spell=dict):
    """A file of a reference control model, its motion modules in a spelling."""
    state = {key: value.clone() for key, value in control.state_dict().items()}
    motion = {key: value for key, value in state.items() if ".motion_modules." in key}
    return {**{key: value for key, value in state.items() if key not in motion}, **spell(motion)}


def one_attention(weights):
    """The original spelling; its tables are one per attention, of which there is one."""
    spelled = rig.as_original(weights)
    return {key: value for key, value in spelled.items() if "attention_blocks.1" not in key}


@pytest.fixture
def files(host):
    """Write weights into the host's folders: the name to pick. Gone after the test."""
    paths = []

    def write(folder, weights):
        path = host.base / "models" / folder / f"sparse_under_test_{len(paths)}.safetensors"
        path.parent.mkdir(exist_ok=True)
        save_file({key: value.contiguous() for key, value in weights.items()}, path)
        paths.append(path)
        return path.name

    yield write
    for path in paths:
        path.unlink()


@pytest.fixture
def model(image, unet, files):
    """MODEL with AnimateDiff v3."""
    from video_ldm.nodes.load import LoadTemporalLayers

    name = files("temporal_layers", rig.as_original(rig.motion_weights(unet)))
    return LoadTemporalLayers.execute(image, name, 1.0).result[0]


def load(name, pattern="indices", every=4, indices="1, -1"):
    from video_ldm.nodes.sparse_control import LoadSparseControl

    return LoadSparseControl.execute(name, pattern, every, indices).result


def pictures(number, size=rig.SIZE):
    return torch.rand(number, 8 * size[0], 8 * size[1], 3, generator=torch.Generator().manual_seed(8))


def applied(control, images, vae, strength=1.0, end=1.0):
    """CONDITIONING of two texts under the host's Apply ControlNet."""
    import nodes

    with torch.inference_mode():
        return nodes.ControlNetApplyAdvanced().apply_controlnet(
            *rig.conditions(), control, images, strength, 0.0, end, vae=vae
        )


def sampled(model, conds, frames=rig.FRAMES, size=rig.SIZE):
    """The calls of the UNet in one step of Video KSampler, and what the control model gave."""
    from video_ldm.nodes.host.sampling.clip import SamplerSettings, sample_clip

    settings = SamplerSettings(1, 1, 3.0, "euler", "normal", 8.0)
    latent = {"samples": torch.zeros(frames, 4, *size)}
    with torch.inference_mode(), rig.calls_of(model) as calls:
        sample_clip(model, *conds, latent, settings, None)
    return calls


def reference_out(unet, control, call, condition, strength=1.0, frames=rig.FRAMES):
    """Output of diffusers' UNet under diffusers' control; condition (f c+1 h w), the mask last."""
    condition = torch.cat([condition] * 2)
    video = rearrange(condition, "(b f) c h w -> b c f h w", f=frames)
    x = rearrange(call.x, "(b f) c h w -> b c f h w", f=frames)
    with torch.no_grad():
        made = control(
            x,
            call.timesteps[0],
            call.context,
            controlnet_cond=video[:, :-1],
            conditioning_mask=video[:, -1:],
            conditioning_scale=strength,
        )
        out = unet(
            x,
            call.timesteps[0],
            call.context,
            down_block_additional_residuals=made.down_block_res_samples,
            mid_block_additional_residual=made.mid_block_res_sample,
        ).sample
    return rearrange(out, "b c f h w -> (b f) c h w")


def condition(kind, vae, images, places, frames=rig.FRAMES):
    """Input of SparseCtrl (f c+1 h w), by hand."""
    pixels = images.movedim(-1, 1)
    if kind == "rgb":
        with torch.inference_mode():
            pixels = torch.cat([vae.encode(one[None]) for one in images]) * SCALE
    given = torch.zeros(frames, pixels.shape[1] + 1, *pixels.shape[2:])
    for number, frame in enumerate(places):
        given[frame, :-1], given[frame, -1] = pixels[number], 1
    return given


def error(out, expected):
    return ((out - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize("spell", [one_attention, dict], ids=["original", "diffusers"])
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_diffusers_with_the_norms_of_the_original(unet, model, vae, files, kind, spell):
    reference = reference_control(kind)
    control, report = load(files("controlnet", file_of(reference, spell)))
    what = {"rgb": "RGB frames", "scribble": "scribbles"}[kind]
    assert report.startswith(f"SparseCtrl for {what} (") and "Licence: Apache-2.0" in report
    images = pictures(2)
    call = sampled(model, applied(control, images, vae if kind == "rgb" else None, 0.7))[0]
    given = condition(kind, vae, images, (1, 4))
    assert error(call.out, reference_out(unet, reference, call, given, 0.7)) < TOLERANCE
    moved = given.roll(1, dims=0)
    assert error(reference_out(unet, reference, call, moved, 0.7), call.out) > 0.001


def test_norms_are_the_one_difference_to_diffusers(unet, model, vae, files):
    reference = reference_control("rgb")
    control, _ = load(files("controlnet", file_of(reference)))
    images = pictures(2)
    call = sampled(model, applied(control, images, vae))[0]
    for module in reference.modules():
        module.__dict__.pop("forward", None)
    assert error(reference_out(unet, reference, call, condition("rgb", vae, images, (1, 4))), call.out) > 1e-3


def test_a_model_that_is_gone_does_not_stop_the_encoding(model, vae, files, monkeypatch):
    """The host lists one as None for a while, and cannot load it."""
    import comfy.model_management as mm

    control, _ = load(files("controlnet", file_of(reference_control("rgb"))))
    listed = mm.loaded_models
    monkeypatch.setattr(mm, "loaded_models", lambda *args, **kwargs: [*listed(*args, **kwargs), None])
    call = sampled(model, applied(control, pictures(2), vae))[0]
    assert bool(torch.isfinite(call.out).all())


@pytest.mark.parametrize("frames", [1, 3])
def test_odd_sizes_and_numbers_of_frames(unet, model, files, frames):
    reference, size = reference_control("scribble"), (9, 11)
    control, _ = load(files("controlnet", file_of(reference)), "first")
    images = pictures(1, size)
    call = sampled(model, applied(control, images, None), frames, size)[0]
    given = condition("scribble", None, images, (0,), frames)
    assert error(call.out, reference_out(unet, reference, call, given, 1.0, frames)) < TOLERANCE


def test_windows_have_the_images_of_their_frames(unet, model, files):
    from video_ldm.nodes.host.sampling.windows import add_windows

    reference = reference_control("scribble")
    control, _ = load(files("controlnet", file_of(reference)), indices="1, 6")
    windowed = add_windows(model, 4, 1, "standard_static", "pyramid", False, False)
    images = pictures(2)
    calls = sampled(windowed, applied(control, images, None), 7)
    given = condition("scribble", None, images, (1, 6), 7)
    for call, start in zip(calls, (0, 3), strict=True):
        expected = reference_out(unet, reference, call, given[start : start + 4], frames=4)
        assert error(call.out, expected) < TOLERANCE


def test_segments_have_the_images_of_their_frames(unet, model, files, tmp_path):
    from video_ldm.nodes.host.sampling.clip import SamplerSettings
    from video_ldm.nodes.host.sampling.extend import Extension, extend
    from video_ldm.nodes.host.sampling.interpolate import PromptedModel

    reference = reference_control("scribble")
    control, _ = load(files("controlnet", file_of(reference)), indices="1, 6")
    images = pictures(2)
    positive, negative = applied(control, images, None)
    settings = SamplerSettings(0, 1, 3.0, "euler", "normal", 8.0)
    latent, choice = {"samples": torch.zeros(1, 4, *rig.SIZE)}, Extension(2, 4, 1, (0,), tmp_path)
    with torch.inference_mode(), rig.calls_of(model) as calls:
        extend(latent, choice, PromptedModel(model, positive, negative, None), settings, [positive] * 2, "")
    given = condition("scribble", None, images, (1, 6), 7)
    for call, first in zip(calls, (0, 3), strict=True):
        expected = reference_out(unet, reference, call, given[first : first + 4], frames=4)
        assert error(call.out, expected) < TOLERANCE


def test_a_window_of_some_frames_counts_those_of_the_whole_clip(files):
    control, _ = load(files("controlnet", file_of(reference_control("scribble"))), indices="1, 6")
    control.cond_hint_original = pictures(2)
    window = control.for_window([3, 4, 5, 6], 7).for_window([1, 3], 4).window
    assert window == ([4, 6], 7) and control.window is None
    assert control.given_at(*window) == [(1, 1)] and control.given_at([0, 1, 2, 3], 7) == [(1, 0)]


def test_it_acts_only_until_its_end_and_stacks_with_itself(model, files):
    control, _ = load(files("controlnet", file_of(reference_control("scribble"))), "first")
    once = applied(control, pictures(1), None)
    plain = sampled(model, rig.conditions())[0].out
    assert torch.equal(sampled(model, applied(control, pictures(1), None, end=0.0))[0].out, plain)
    import nodes

    with torch.inference_mode():
        twice = nodes.ControlNetApplyAdvanced().apply_controlnet(*once, control, pictures(1), 1.0, 0.0, 1.0)
    double = applied(control, pictures(1), None, strength=2.0)
    torch.testing.assert_close(
        sampled(model, twice)[0].out, sampled(model, double)[0].out, rtol=1e-3, atol=1e-4
    )


def test_nothing_is_left_behind(model, files):
    control, _ = load(files("controlnet", file_of(reference_control("scribble"))), "first")
    conds = applied(control, pictures(1), None)
    before = {key: value.clone() for key, value in control.control_model.state_dict().items()}
    sampled(model, conds)
    used = conds[0][0][1]["control"]
    assert not used._given and used.cond_hint is None
    assert sum(len(module._forward_hooks) for module in control.control_model.modules()) == 0
    assert all(torch.equal(before[key], value) for key, value in control.control_model.state_dict().items())


def test_what_cannot_work_is_refused(model, image, unet, vae, files):
    from video_ldm.temporal.errors import CheckpointFormatError, InvalidInputError

    weights = file_of(reference_control("rgb"), one_attention)
    control, _ = load(files("controlnet", weights))
    with pytest.raises(InvalidInputError, match="Apply ControlNet has no VAE"):
        sampled(model, applied(control, pictures(2), None))
    with pytest.raises(InvalidInputError, match="names 2 frames, but 3 were given"):
        sampled(model, applied(control, pictures(3), vae))
    from video_ldm.nodes.load import LoadTemporalLayers

    longer = LoadTemporalLayers.execute(
        image, files("temporal_layers", rig.motion_weights(unet)), 1.0, longer_clips="squeeze"
    ).result[0]
    with pytest.raises(InvalidInputError, match=r"33 frames; SparseCtrl .* at most 32\. .*Video Windows"):
        sampled(longer, applied(control, pictures(2), vae), 33)
    missing = {key: value for key, value in weights.items() if key != "controlnet_mid_block.bias"}
    cases = [
        (missing, r"looks like SparseCtrl, but .* missing: controlnet_mid_block\.bias\."),
        ({**weights, "surprise": torch.zeros(1)}, r"unknown: surprise\."),
        (
            {**weights, "conv_in.weight": torch.zeros(32, 8, 3, 3)},
            r"conv_in.weight has shape \(32, 8, 3, 3\), but SparseCtrl",
        ),
        ({**weights, "conv_in.bias": torch.full((32,), torch.nan)}, "is not finite"),
        (
            {"zero_convs.0.0.weight": torch.zeros(1)},
            "is not SparseCtrl: it is a ControlNet; load it with Load",
        ),
    ]
    for changed, message in cases:
        with pytest.raises(CheckpointFormatError, match=message):
            load(files("controlnet", changed))


def test_an_image_model_of_another_family_is_refused(files):
    from video_ldm.temporal.errors import IncompatibleModelError

    import nodes

    from ..rig import Rig

    toy = Rig()
    control, _ = load(files("controlnet", file_of(reference_control("scribble"))), "first")
    with torch.inference_mode():
        conds = nodes.ControlNetApplyAdvanced().apply_controlnet(
            toy.positive, toy.negative, control, pictures(1, (10, 6)), 1.0, 0.0, 1.0
        )
    with pytest.raises(
        IncompatibleModelError, match=r"made for SD 1\.x, whose text is 24 wide, .* is 48 wide"
    ):
        toy.sample(toy.model, positive=conds[0], negative=conds[1])


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_of_the_published_files_is_used(host, monkeypatch, caplog, kind):
    """Names and shapes at full size, without memory for the weights."""
    from video_ldm.nodes.host.layers import sparse_control as ours
    from video_ldm.temporal.formats import motion_modules, sparse_control
    from video_ldm.temporal.stack.plan import SD1
    from video_ldm.tests.temporal.formats.test_listings import LISTINGS, published

    used = {}

    def same_shapes(module, tensors, *_):
        expected = {key: weight.shape for key, weight in module.state_dict().items()}
        assert {key: weight.shape for key, weight in tensors.items()} == expected
        used[type(module).__name__] = len(tensors)

    monkeypatch.setattr(motion_modules, "BASES", {4: ("SD 1.x", SD1)})
    monkeypatch.setattr(sparse_control, "read_weights", lambda _: published(f"sparsectrl_{kind}"))
    monkeypatch.setattr(sparse_control, "assign_weights", same_shapes)
    monkeypatch.setattr(ours, "assign_weights", same_shapes)
    monkeypatch.setattr(ours, "SparseControl", lambda *args, **kwargs: None)
    with caplog.at_level("INFO"):
        _, report = ours.load_sparse_control("published.ckpt", ours.Places("first"))
    assert f"{ {'rgb': 496.7, 'scribble': 497.8}[kind] } M weights" in report
    assert used.keys() == {"TemporalStack", "SparseControlModel"}
    assert f"published.ckpt: {report}" in caplog.text
    tables = sum(key.endswith(".pe") for key in LISTINGS[f"sparsectrl_{kind}"])
    given = len(LISTINGS[f"sparsectrl_{kind}"])
    assert report.endswith(f"\nKeys: {given - tables} used, {tables} position tables (computed anew)")


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_refused_in_a_sentence_or_can_be_used(host, tmp_path, monkeypatch, kind):
    import folder_paths
    from safetensors.torch import save

    monkeypatch.setitem(
        folder_paths.folder_names_and_paths, "controlnet", ([str(tmp_path)], {".safetensors"})
    )
    weights = file_of(reference_control(kind))
    good = save({key: value.half().contiguous() for key, value in weights.items()})
    ends = trial(
        tmp_path / "sparse.safetensors", good, lambda path: load(path.name)[0].control_model.state_dict()
    )
    assert ends["refused"] > 5, ends
