"""Every published layout is recognised by its keys and shapes.

Loaded with no key unexplained, or named in one sentence.

`listings.json.xz` holds name and shape of every tensor of 43 published files. The tensors made from it take
no memory; only position tables have the right values.
"""

import json
import lzma
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from video_ldm.temporal import formats
from video_ldm.temporal.errors import CheckpointFormatError
from video_ldm.temporal.formats import inside, keys, lvdm, motion_modules
from video_ldm.temporal.formats.motion_modules import position_table
from video_ldm.temporal.formats.other_files import describe_other
from video_ldm.temporal.weights.files import WeightsFile

LISTINGS = json.loads(lzma.decompress((Path(__file__).parent / "listings.json.xz").read_bytes()))
PROJECTOR = {
    key: shape for key, shape in LISTINGS["dynamicrafter_512"].items() if key.startswith("image_proj_model.")
}
# its listing is of the UNet alone; the projector in its checkpoint is that of DynamiCrafter with fewer
# queries
LISTINGS["videocrafter1_i2v"] |= {**PROJECTOR, "image_proj_model.latents": [1, 16, 1024]}
LOADED = {
    "animatediff_v1": "AnimateDiff v1 (original",
    "animatediff_v2": "AnimateDiff v2 (original",
    "animatediff_v3": "AnimateDiff v3 (original",
    "animatediff_long": "AnimateDiff Long (original",
    "animatediff_sdxl_beta": "AnimateDiff SDXL beta (original",
    "animatelcm_t2v": "AnimateLCM (original",
    "animatelcm_i2v": "AnimateLCM-I2V (original",
    "pia": "PIA (original",
    "hotshot_xl": "HotShot-XL (HotShot",
    "diffusers_motion_adapter_v1": "AnimateDiff v1 (diffusers",
    "diffusers_motion_adapter_v2": "AnimateDiff v2 (diffusers",
    "diffusers_motion_adapter_v3": "AnimateDiff v3 (diffusers",
    "diffusers_motion_adapter_sdxl": "AnimateDiff SDXL beta (diffusers",
    "diffusers_unet_motion_model_sd15_v2": "AnimateDiff v2 (diffusers",
    "lavie_vsr": "LaVie VSR (original",
    "upscale_a_video_unet": "Upscale-A-Video (original",
}
MODELS = {
    "svd_unet_original": "Stable Video Diffusion (original",
    "svd_unet_diffusers": "Stable Video Diffusion (diffusers",
    "modelscope_t2v_original": "ModelScope or ZeroScope (original",
    "modelscope_t2v_diffusers": "ModelScope or ZeroScope (diffusers",
    "videocrafter1_t2v_512": "VideoCrafter1 for 512 x 320 (original",
    "videocrafter1_t2v_1024": "VideoCrafter1 for 1024 x 576 (original",
    "videocrafter2_t2v": "VideoCrafter2 (original",
    "videocrafter1_i2v": "VideoCrafter1 for image to video (original",
    "lavie_base": "LaVie (original",
    "lavie_interpolation": "LaVie interpolation (original",
    "seine": "SEINE (original",
}
NAMED = {
    "animatediff_motion_lora": "a motion LoRA; put it in models/motion_lora",
    "diffusers_motion_lora": "a motion LoRA; put it in models/motion_lora",
    "animatediff_v3_domain_adapter_lora": "domain adapter of AnimateDiff v3",
    "sparsectrl_rgb": "SparseCtrl for RGB frames",
    "sparsectrl_scribble": "SparseCtrl for scribbles",
    "motiondirector_lora": "LoRA of MotionDirector for ModelScope or ZeroScope; put it in models/motion_lora",
    "svd_vae_original": "temporal decoder of Stable Video Diffusion; put it in models/temporal_decoders",
    "svd_vae_diffusers": "temporal decoder of Stable Video Diffusion; put it in models/temporal_decoders",
    "tooncrafter_vae": "decoder of ToonCrafter",
    "tooncrafter_unet": "DynamiCrafter or ToonCrafter",
    "dynamicrafter_256": "DynamiCrafter for 256",
    "dynamicrafter_512": "DynamiCrafter or ToonCrafter",
    "dynamicrafter_1024": "DynamiCrafter or ToonCrafter",
    "i2vgen_xl_diffusers": "I2VGen-XL",
    "upscale_a_video_vae_video": "video VAE of Upscale-A-Video",
    "upscale_a_video_vae_3d": "a VAE; load it with Load VAE",
}


def tensor(key: str, shape: list[int]) -> Tensor:
    if key.endswith((".pe", ".positional_encoding")):
        return position_table(*shape[1:]).half()
    if key.endswith("rotary_emb.freqs"):
        return 10000 ** (-torch.arange(*shape) / 16)
    return torch.zeros((), dtype=torch.float16).expand(shape)


def published(name: str) -> WeightsFile:
    tensors = {key: tensor(key, shape) for key, shape in LISTINGS[name].items()}
    return WeightsFile(Path(f"{name}.ckpt"), {}, tensors)


def same_keys_and_shapes(stack, tensors, *_) -> None:
    """In the place of reading half a billion zeros."""
    expected = {key: weight.shape for key, weight in stack.state_dict().items()}
    assert {key: weight.shape for key, weight in tensors.items()} == expected


def opened(monkeypatch, file: WeightsFile):
    monkeypatch.setattr(formats, "read_weights", lambda _: file)
    return formats.open_stack("ignored")


def test_every_listing_has_its_answer():
    assert LISTINGS.keys() == {*LOADED, *MODELS, *NAMED}


@pytest.mark.slow
@pytest.mark.parametrize("name", LOADED)
def test_it_is_loaded_with_every_key_explained(monkeypatch, name):
    for module in (motion_modules, inside):
        monkeypatch.setattr(module, "assign_weights", same_keys_and_shapes)
    stack, source = opened(monkeypatch, published(name))
    assert formats.report(stack, source).startswith(LOADED[name])
    assert source.used + sum(source.unused.values()) == len(LISTINGS[name])


@pytest.fixture
def unread(monkeypatch):
    """Names and shapes are looked at, half a billion zeros are not."""
    for module in (lvdm, inside):
        monkeypatch.setattr(module, "assign_weights", same_keys_and_shapes)
    monkeypatch.setattr(keys, "check_numbers", lambda *_: None)


def opened_model(monkeypatch, file: WeightsFile):
    monkeypatch.setattr(formats, "read_weights", lambda _: file)
    return formats.open_video_model("ignored")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_whole_model_is_split_with_every_key_explained(monkeypatch, unread, name):
    model = opened_model(monkeypatch, published(name))
    assert formats.report_model(model).startswith(MODELS[name])
    tables = [key for key in LISTINGS[name] if key.endswith("rotary_emb.freqs")]
    assert model.source.used == len(LISTINGS[name]) - len(tables)
    assert sum(model.source.unused.values()) == len(tables)
    temporal = 0 if model.stack is None else sum(p.numel() for p in model.stack.parameters())
    image = sum(tensor.numel() for tensor in model.image.values())
    listed = sum(math.prod(shape) for shape in LISTINGS[name].values())
    assert temporal + image == listed - 16 * len(tables)


def test_what_checkpoints_hold_beside_the_unet_is_counted(monkeypatch, unread):
    file = published("videocrafter2_t2v")
    beside = ("first_stage_model.encoder.conv_in.weight", "cond_stage_model.model.ln_final.bias", "betas")
    file = replace(file, tensors={**file.tensors, **{key: torch.zeros(1) for key in beside}})
    report = formats.report_model(opened_model(monkeypatch, file))
    used = f"Keys: {len(LISTINGS['videocrafter2_t2v'])} used"
    assert f"{used}, 1 of a VAE (not used), 1 of a noise schedule, 1 of a text encoder (not used)" in report


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_blocks.1.2.proj_in.bias": None}, r"missing: input_blocks\.1\.2\.proj_in\.bias"),
        ({"surprise": torch.zeros(1)}, "unknown: surprise"),
        (
            {"input_blocks.2.1.proj_in.bias": torch.zeros(7)},
            r"proj_in\.bias has shape \(7,\), but ModelScope or ZeroScope has \(320,\)",
        ),
        (
            {"input_blocks.1.0.temopral_conv.conv1.2.weight": torch.zeros(4, 4, 3, 1, 1)},
            r"conv1\.2\.weight has shape",
        ),
    ],
)
def test_an_almost_known_model_names_the_first_keys(monkeypatch, unread, change, message):
    file = published("modelscope_t2v_original")
    tensors = {key: value for key, value in {**file.tensors, **change}.items() if value is not None}
    with pytest.raises(CheckpointFormatError, match=message):
        opened_model(monkeypatch, replace(file, tensors=tensors))


@pytest.mark.slow
def test_the_scale_in_a_checkpoint_counts(monkeypatch, unread):
    scales = torch.cat([torch.linspace(1, 0.5, 400), torch.full((1000,), 0.5)])
    file = published("videocrafter2_t2v")
    assert opened_model(monkeypatch, file).betas.x0_scale == 0.7
    scaled = replace(file, tensors={**file.tensors, "scale_arr": scales})
    assert opened_model(monkeypatch, scaled).betas.x0_scale == 0.5
    broken = replace(file, tensors={**file.tensors, "scale_arr": torch.zeros(3)})
    with pytest.raises(CheckpointFormatError, match="scale_arr is not a scale above 0"):
        opened_model(monkeypatch, broken)


def test_layers_taken_from_a_whole_model_are_called_an_experiment(monkeypatch, unread):
    report = formats.report(*opened(monkeypatch, published("modelscope_t2v_diffusers")))
    assert "794 used, 686 of its image model (not used)\nExperiment: " in report


@pytest.mark.parametrize("name", ["svd_unet_original", "svd_unet_diffusers"])
def test_layers_that_the_host_has_itself_stay_in_their_model(monkeypatch, name):
    with pytest.raises(
        CheckpointFormatError,
        match=r"it is Stable Video Diffusion.*, a whole video model: .*load it with Load Video Model",
    ):
        opened(monkeypatch, published(name))


def test_temporal_layers_alone_are_no_video_model(monkeypatch):
    with pytest.raises(CheckpointFormatError, match="load it with Load Temporal Layers"):
        opened_model(monkeypatch, published("animatediff_v2"))


@pytest.mark.parametrize("name", NAMED)
def test_it_is_named_in_one_sentence(monkeypatch, name):
    with pytest.raises(CheckpointFormatError) as error:
        opened(monkeypatch, published(name))
    assert NAMED[name] in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("prefix", ["module.", "_forward_module.", "model.diffusion_model.", "unet."])
def test_prefixes_of_trainers_are_looked_through(prefix):
    file = published("animatediff_v2")
    wrapped = {prefix + key: value for key, value in file.tensors.items()}
    assert formats.bare(WeightsFile(file.path, {}, wrapped)).tensors.keys() == file.tensors.keys()


def changed(**changes: object) -> WeightsFile:
    """AnimateDiff v3 in fewer bytes than it has.

    Only its key names and shapes, with changes (None: left out).
    """
    file = published("animatediff_v3")
    tensors = {key: value for key, value in {**file.tensors, **changes}.items() if value is not None}
    return WeightsFile(file.path, {}, tensors)


MODULE = "down_blocks.0.motion_modules.0.temporal_transformer"
ATTENTION = f"{MODULE}.transformer_blocks.0.attention_blocks.0"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {f"{MODULE}.proj_in.bias": None, f"{MODULE}.surprise": torch.zeros(1)},
            rf"looks like AnimateDiff v3, but .* missing: {MODULE}.proj_in.bias; "
            rf"unknown: {MODULE}.surprise\.",
        ),
        ({"surprise": torch.zeros(1)}, r"unknown: surprise\."),
        (
            {f"{ATTENTION}.to_k.weight": torch.zeros(320, 64)},
            r"to_k.weight has shape \(320, 64\), but AnimateDiff v3 has \(320, 320\)",
        ),
        ({f"{ATTENTION}.pos_encoder.pe": torch.zeros(1, 32, 320)}, "is not the fixed position table"),
        ({f"{ATTENTION}.pos_encoder.pe": torch.zeros(3)}, "is not the fixed position table"),
        ({"down_blocks.7.motion_modules.0.temporal_transformer.x": torch.zeros(1)}, "of 5 resolutions"),
        ({f"{MODULE}.proj_in.bias": torch.full((320,), torch.nan)}, "is not finite"),
    ],
)
def test_an_almost_known_file_names_the_first_keys(monkeypatch, changes, message):
    with pytest.raises(CheckpointFormatError, match=message):
        opened(monkeypatch, changed(**changes))


def test_a_middle_module_on_sdxl_is_of_no_published_family(monkeypatch):
    file = published("animatediff_sdxl_beta")
    extra = {"mid_block.motion_modules.0.temporal_transformer.norm.weight": torch.zeros(1280)}
    with pytest.raises(CheckpointFormatError, match="which no published family"):
        opened(monkeypatch, WeightsFile(file.path, {}, {**file.tensors, **extra}))


def test_a_lora_named_by_its_own_file_is_not_mistaken():
    assert "motion LoRA" in describe_other(published("animatediff_motion_lora"))


@pytest.mark.parametrize("wrong", [torch.full((320,), torch.nan), torch.zeros(320, dtype=torch.int8)])
def test_weights_of_an_image_model_are_finite_numbers(monkeypatch, wrong):
    monkeypatch.setattr(lvdm, "assign_weights", same_keys_and_shapes)
    file = published("modelscope_t2v_original")
    broken = replace(file, tensors={**file.tensors, "out.0.bias": wrong})

    def check(name, key, tensor, real=keys.check_numbers):
        if key == "out.0.bias":
            real(name, key, tensor)

    monkeypatch.setattr(keys, "check_numbers", check)
    with pytest.raises(
        CheckpointFormatError, match=r"out\.0\.bias (is not finite|holds numbers of the kind int8)"
    ):
        opened_model(monkeypatch, broken)


def without(name: str, *parts: str) -> WeightsFile:
    """A published file without the keys that have one of the parts in them."""
    file = published(name)
    kept = {key: value for key, value in file.tensors.items() if not any(part in key for part in parts)}
    return replace(file, tensors=kept)


def test_lavies_layers_without_their_image_model_are_named(monkeypatch):
    file = without("lavie_base", "conv_in.", ".resnets.")
    for open_file in (opened, opened_model):
        with pytest.raises(CheckpointFormatError, match="without the image model that was trained along"):
            open_file(monkeypatch, file)


@pytest.mark.parametrize("name", ["lavie_vsr", "upscale_a_video_unet"])
def test_layers_for_the_upscaler_may_come_alone(monkeypatch, name):
    monkeypatch.setattr(inside, "assign_weights", same_keys_and_shapes)
    temporal = ("temporal", "temp_block")
    image = [key for key in LISTINGS[name] if not any(part in key for part in temporal)]
    _, source = opened(monkeypatch, without(name, *image))
    assert source.unused == {"tables of positions (computed anew)": 17, "of an image model (not used)": 0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"down_blocks.0.attentions.0.transformer_blocks.0.norm_temp.bias": None},
            r"missing: down_blocks\.0\..*norm_temp",
        ),
        (
            {"conv_in.bias": None, "odd.weight": torch.zeros(1)},
            r"missing: conv_in\.bias; unknown: odd\.weight",
        ),
        (
            {"mid_block.attentions.0.transformer_blocks.0.attn_temp.to_q.weight": torch.zeros(2, 3)},
            r"to_q\.weight has shape \(2, 3\), but LaVie has \(1280, 1280\)",
        ),
        (
            {"mid_block.attentions.0.transformer_blocks.0.attn_temp.rotary_emb.freqs": torch.ones(16)},
            "does not hold the rotary positions",
        ),
    ],
)
def test_an_almost_known_lavie_names_the_first_keys(monkeypatch, unread, change, message):
    file = published("lavie_base")
    tensors = {key: value for key, value in {**file.tensors, **change}.items() if value is not None}
    with pytest.raises(CheckpointFormatError, match=message):
        opened_model(monkeypatch, replace(file, tensors=tensors))


def test_lavie_without_its_tables_of_positions_is_complete(monkeypatch, unread):
    model = opened_model(monkeypatch, without("lavie_base", "rotary_emb.freqs"))
    assert not sum(model.source.unused.values())


def test_the_published_list_of_motiondirector_fits_every_layer(monkeypatch):
    """At full size: each pair of matrices is of the layer that its place in the list says."""
    from video_ldm.temporal.formats import modelscope
    from video_ldm.temporal.formats.motion_lora import read_motion_lora
    from video_ldm.temporal.stack.stack import TemporalStack

    file = published("motiondirector_lora")
    stack = TemporalStack(modelscope.DIFFUSERS.stack_config(), device="meta")
    lora = read_motion_lora(file, stack)
    assert len(lora.targets) == 170 and len(lora.factors) == 340 and not lora.skipped
    up = lora.factors["up_blocks.1.temp_attentions.0.transformer_blocks.0.ff.net.0.proj.lora_up.weight"]
    assert up.shape == (8 * 1280, 32)
