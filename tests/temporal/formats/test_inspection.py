"""Every kind of file is told and written in every spelling that is read, bit for bit there and back."""

from __future__ import annotations

import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from video_ldm.formats import inspection
from video_ldm.formats.inspection import inspected
from video_ldm.temporal.decoder import TAESD, DecoderConfig, TemporalDecoder, save_decoder
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.formats import lvdm, modelscope, motion_modules, sparse_control, svd, videocrafter
from video_ldm.temporal.formats.animatediff import ORIGINAL
from video_ldm.temporal.formats.motion_adapter import DIFFUSERS
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.upscaler import save_upscaler
from video_ldm.temporal.weights.files import read_weights

from ..tiny import sine_init
from ..upscaler.tiny import random_upscaler
from . import tiny_models
from .test_convert import SHAPES
from .test_listings import LISTINGS, published, same_keys_and_shapes

Weights = dict[str, Tensor]
TOLD = {
    "animatediff_motion_lora": "Motion LoRA (original file), 19.3 M weights, for AnimateDiff layers of SD "
    "1.x\n",
    "diffusers_motion_lora": "Motion LoRA (diffusers file), 19.3 M weights, for AnimateDiff layers of SD "
    "1.x\n",
    "motiondirector_lora": "Motion LoRA (original file), 12.5 M weights, for ModelScope or ZeroScope\n",
    "sparsectrl_rgb": "SparseCtrl for RGB frames (original file)",
    "sparsectrl_scribble": "SparseCtrl for scribbles (original file)",
    "svd_vae_original": "Temporal decoder of Stable Video Diffusion (original file), 63.6 M weights",
    "svd_vae_diffusers": "Temporal decoder of Stable Video Diffusion (diffusers file), 63.6 M weights",
    "tooncrafter_vae": "Temporal decoder of ToonCrafter (original file)",
}


@pytest.fixture
def opened(monkeypatch):
    """A published listing in the place of a file, without half a billion zeros being read."""

    def opened(name):
        for module in (inspection, sparse_control):
            monkeypatch.setattr(module, "read_weights", lambda _: published(name))
        monkeypatch.setattr(sparse_control, "assign_weights", same_keys_and_shapes)
        written = {}
        monkeypatch.setattr(
            inspection, "write_weights", lambda out, tensors, metadata: written.update(tensors)
        )
        return inspected("ignored"), written

    return opened


@pytest.mark.parametrize("name", TOLD)
def test_published_files_that_are_no_layers_are_told(opened, name):
    assert opened(name)[0].report.startswith(TOLD[name])


def shapes(weights: Weights) -> dict[str, list[int]]:
    return {key: list(tensor.shape) for key, tensor in weights.items()}


def names_of(name: str) -> dict[str, list[int]]:
    """A listing as it stands alone: without the name of the part, and what only one of both spellings has."""
    listing = {key.removeprefix("first_stage_model."): shape for key, shape in LISTINGS[name].items()}
    return {key: shape for key, shape in listing.items() if not key.startswith("quant_conv.")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "spelling", "other"),
    [
        ("animatediff_motion_lora", "diffusers", "diffusers_motion_lora"),
        ("diffusers_motion_lora", "original", "animatediff_motion_lora"),
        ("svd_vae_original", "diffusers", "svd_vae_diffusers"),
        ("svd_vae_diffusers", "original", "svd_vae_original"),
        ("tooncrafter_vae", "original", "tooncrafter_vae"),
        ("motiondirector_lora", "original", "motiondirector_lora"),
    ],
)
def test_a_published_file_becomes_the_other_published_file(opened, name, spelling, other):
    found, written = opened(name)
    assert found.usual == spelling
    found.convert("ignored", spelling)
    written = {key: tensor for key, tensor in written.items() if not key.startswith("quant_conv.")}
    assert shapes(written) == names_of(other)


def there_and_back(tmp_path, weights: Weights) -> Weights:
    """A file in its usual other spelling, after a round trip that must change nothing."""
    first, other, again = (tmp_path / f"{name}.safetensors" for name in ("first", "other", "again"))
    save_file(weights, first)
    found = inspected(first)
    found.convert(other, found.usual)
    back = inspected(other)
    assert (back.spelling, back.usual) == (found.usual, found.spelling)
    back.convert(again, back.usual)
    before, after = load_file(first), load_file(again)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    return load_file(other)


@pytest.fixture
def tiny_bases(monkeypatch):
    monkeypatch.setattr(motion_modules, "BASES", {2: ("SDXL", SHAPES[2]), 3: ("SD 1.x", SHAPES[3])})


def stack_of(base: str, middle: bool = False, control: bool = False) -> TemporalStack:
    motion = MotionConfig(middle, False, False, control=control or None)
    config = StackConfig(
        SHAPES[3 if base == "SD 1.x" else 2], base, 32, False, False, family="SparseCtrl", motion=motion
    )
    return sine_init(TemporalStack(config)).half()


def lora_weights(base: str, spelling: motion_modules.MotionSpelling, name: str) -> Weights:
    """Random factors, each another, for every linear layer.

    `name` as trainers write it, {0} the layer, {1} down or up.
    """
    torch.manual_seed(0)
    stack, found = stack_of(base, middle=base == "SD 1.x"), {}
    for own, parts in motion_modules.file_keys(stack, spelling).items():
        weight = stack.get_parameter(own)
        for part in parts if own.endswith(".weight") and weight.ndim == 2 else ():
            layer = part.removesuffix(".weight")
            layer = layer.replace(".", "_") if name.startswith("lora_unet_") else layer
            rows, columns = len(weight) // len(parts), weight.shape[1]
            found[name.format(layer, "down")] = torch.randn(4, columns).half()
            found[name.format(layer, "up")] = torch.randn(rows, 4).half()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("base", ["SD 1.x", "SDXL"])
@pytest.mark.parametrize("name", ["{0}.lora_{1}.weight", "lora_unet_{0}.lora_{1}.weight"])
def test_a_motion_lora_goes_there_and_back(tmp_path, tiny_bases, base, name):
    weights = lora_weights(base, ORIGINAL, name)
    other = there_and_back(tmp_path, weights)
    unet = "" if name.startswith("lora_unet_") else "unet."
    expected = lora_weights(base, DIFFUSERS, f"{unet}{name}")
    assert other.keys() == expected.keys()
    assert all(torch.equal(other[key], weight) for key, weight in expected.items())
    assert f"for AnimateDiff layers of {base}\n" in inspected(tmp_path / "first.safetensors").report


def test_sparse_control_goes_there_and_back(tmp_path, tiny_bases):
    stack = stack_of("SD 1.x", control=True)
    original, _ = sparse_control.SPELLINGS
    weights = {"controlnet_cond_embedding.weight": torch.randn(4, 5, 3, 3), "conv_in.bias": torch.randn(4)}
    own = stack.state_dict()
    for key, parts in motion_modules.file_keys(stack, original).items():
        weights |= {name: part.clone() for name, part in zip(parts, own[key].chunk(len(parts)), strict=True)}
    table = f".{original.tables[0]}"
    for key in [key for key in weights if key.endswith(".norms.0.weight")]:
        module = key.partition(".temporal_transformer.")[0] + ".temporal_transformer"
        weights[module + table] = motion_modules.position_table(32, len(weights[key])).half()
    other = there_and_back(tmp_path, weights)

    def theirs(key: str) -> str:
        key = re.sub(r"temporal_transformer\.|\.pos_encoder(?=\.pe)", "", key)
        key = key.replace("attention_blocks.0.pe", "pos_embed.pe").replace("attention_blocks.0", "attn1")
        return key.replace("norms.0", "norm1").replace("ff_norm", "norm3")

    assert other.keys() == set(map(theirs, weights))


def test_the_decoder_of_svd_goes_there_and_back(tmp_path):
    torch.manual_seed(0)
    sizes = LISTINGS["svd_vae_diffusers"]
    small = {key: [size // 64 if size >= 64 else size for size in shape] for key, shape in sizes.items()}
    there_and_back(tmp_path, {key: torch.randn(shape) for key, shape in small.items()})


@pytest.mark.parametrize("kind", ["decoder", "upscaler"])
def test_files_of_our_own_are_told_and_copied(tmp_path, kind):
    path, again = tmp_path / "own.safetensors", tmp_path / "again.safetensors"
    if kind == "decoder":
        save_decoder(path, TemporalDecoder(DecoderConfig(TAESD, "SD")))
    else:
        save_upscaler(path, random_upscaler())
    found = inspected(path)
    assert found.report.startswith(f"Video LDM {kind} (native file), ") and "Folder: models/" in found.report
    found.convert(again, found.usual)
    before, after = read_weights(path), read_weights(again)
    assert before.metadata == after.metadata and before.tensors.keys() == after.tensors.keys()
    with pytest.raises(InvalidInputError, match=f"{kind} has no original spelling; it is written as native"):
        found.convert(again, "original")


@pytest.mark.slow
def test_the_scales_of_a_checkpoint_stay_with_its_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(lvdm, "SHAPE", tiny_models.SHAPE)
    scales = torch.linspace(1, 0.5, 1000)
    weights = {**tiny_models.weights_of(videocrafter.VIDEOCRAFTER2), "scale_arr": scales}
    save_file(weights, tmp_path / "in.safetensors")
    found = inspected(tmp_path / "in.safetensors")
    found.convert(tmp_path / "out.safetensors", found.usual)
    assert torch.equal(load_file(tmp_path / "out.safetensors")["scale_arr"], scales)
    assert inspected(tmp_path / "out.safetensors").report == found.report
    assert "scaled to 0.5" in found.report


@pytest.mark.slow
@pytest.mark.parametrize("family", [svd.NAME, modelscope.NAME, "VideoCrafter2"])
def test_a_whole_model_is_usually_written_in_its_other_spelling(tmp_path, monkeypatch, family):
    for module in (lvdm, svd):
        monkeypatch.setattr(module, "SHAPE", tiny_models.SHAPE)
    makers = {svd.NAME: tiny_models.svd_weights, modelscope.NAME: tiny_models.modelscope_weights}
    weights = makers.get(family, lambda: tiny_models.weights_of(videocrafter.VIDEOCRAFTER2))()
    save_file(weights, tmp_path / "in.safetensors")
    assert inspected(tmp_path / "in.safetensors").usual == "original"
