"""Good files as trainers and tools save them.

8 bits, prefixes on prefixes, wrappers of any name, alpha as a whole number.
"""

from __future__ import annotations

import json
import struct

import pytest
import torch
from safetensors.torch import load, save
from video_ldm.temporal.errors import CheckpointFormatError
from video_ldm.temporal.formats import load_stack, motion_modules
from video_ldm.temporal.formats.motion_lora import read_motion_lora
from video_ldm.temporal.upscaler import UpscalerConfig
from video_ldm.temporal.weights.files import read_weights

from ... import damage
from ... import damage_headers as headers

TABLE = ".pos_encoder.pe"
MODULE = "mid_block.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return damage.Good.made(tmp_path_factory.mktemp("good"))


@pytest.fixture(autouse=True)
def tiny_base(monkeypatch):
    monkeypatch.setattr(motion_modules, "BASES", damage.BASES)


@pytest.fixture
def layers(good):
    return load(good.files["motion"])


@pytest.fixture
def loaded(good, tmp_path):
    """The weights of a file of such content."""

    def loaded(content):
        (tmp_path / "file").unlink(missing_ok=True)  # a file that is open may be mapped
        (tmp_path / "file").write_bytes(content)
        return load_stack(tmp_path / "file").state_dict()

    return loaded


def same(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name].float(), other[name].float()) for name in one
    )


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float16])
def test_all_in_few_bits(loaded, layers, kind):
    assert [key for key in layers if key.endswith(TABLE)]
    small = {key: value.to(kind) for key, value in layers.items()}
    assert same(loaded(save(small)), loaded(damage.torch_saved(small)))


@pytest.mark.parametrize(
    "kind", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16, torch.float32, torch.int32]
)
def test_another_table_is_refused_in_few_bits_too(loaded, layers, kind):
    key = next(key for key in layers if key.endswith(TABLE))
    other = {**layers, key: layers[key].roll(1, 1)}
    with pytest.raises(CheckpointFormatError, match="is not the fixed position table"):
        loaded(save({key: value.to(kind).contiguous() for key, value in other.items()}))


@pytest.mark.parametrize(
    "prefix",
    [
        "base_model.model.",
        "base_model.model.unet.",
        "module.base_model.model.module.",
        "_orig_mod.unet.",
        "unet._orig_mod.module.",
        "model.diffusion_model.module.",
    ],
)
def test_prefixes_on_prefixes_are_peeled(loaded, layers, good, prefix):
    named = {f"{prefix}{key}": value for key, value in layers.items()}
    assert same(loaded(save(named)), loaded(good.files["motion"]))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: {"unet": weights},
        lambda weights: {"params_ema": weights, "params": {"a": torch.zeros(1)}},
        lambda weights: {"motion": weights, "optimizer": {"state": {0: {"step": torch.ones(1)}}}, "epoch": 3},
        lambda weights: {"checkpoint": {"model_state_dict": weights, "step": 5}},
    ],
    ids=["unet", "params_ema", "one that holds weights", "inside another"],
)
def test_wrappers_of_any_name_are_opened(loaded, layers, good, wrap):
    assert same(loaded(damage.torch_saved(wrap(layers))), loaded(good.files["motion"]))


def test_several_collections_are_named(loaded, layers):
    with pytest.raises(
        CheckpointFormatError, match=r"several collections of weights: 'first', 'second'\. Save the one"
    ):
        loaded(damage.torch_saved({"first": layers, "second": {"a": torch.zeros(1)}}))


def test_what_a_file_without_weights_holds_is_named(loaded):
    with pytest.raises(
        CheckpointFormatError, match=r"holds no weights; it holds 'epoch', 'a\\n', 'b' and 2 more"
    ):
        loaded(damage.torch_saved(dict.fromkeys(("epoch", "a\n", "b", "c", "d"), 1)))


@pytest.mark.parametrize("alpha", [torch.tensor(2), torch.tensor([2], dtype=torch.int32), torch.tensor(2.0)])
def test_alpha_may_be_a_whole_number(good, tmp_path, alpha):
    (tmp_path / "motion").write_bytes(good.files["motion"])
    stack = load_stack(tmp_path / "motion")
    factors = {
        f"{MODULE}.to_q.lora_down.weight": torch.ones(2, 32),
        f"{MODULE}.to_q.lora_up.weight": torch.ones(32, 2),
    }
    (tmp_path / "lora").write_bytes(save({**factors, f"{MODULE}.to_q.alpha": alpha}))
    lora = read_motion_lora(read_weights(tmp_path / "lora"), stack)
    (value,) = (factor for key, factor in lora.factors.items() if key.endswith("alpha"))
    assert value.is_floating_point() and value.item() == 2
    for wrong, message in (
        (torch.tensor([1.0, 2.0]), "but it is one number"),
        (torch.tensor(True), "kind bool"),
    ):
        (tmp_path / "lora").unlink()
        (tmp_path / "lora").write_bytes(save({**factors, f"{MODULE}.to_q.alpha": wrong}))
        with pytest.raises(CheckpointFormatError, match=message):
            read_motion_lora(read_weights(tmp_path / "lora"), stack)


@pytest.mark.parametrize("name", ["float4_e2m1fn_x2", "float8_e8m0fnu"])
def test_numbers_that_are_packed_are_refused_in_words(loaded, layers, name):
    kind = getattr(torch, name, None)
    if kind is None:  # an older PyTorch cannot say it
        return
    key = next(key for key in layers if key.endswith(TABLE))
    packed = layers[key].to(torch.float8_e4m3fn).view(torch.uint8).view(kind)
    for saved in (save, damage.torch_saved):
        with pytest.raises(CheckpointFormatError, match=f"the kind {name}, which are quantized"):
            loaded(saved({**layers, key: packed}))


SIZES = {
    "scale": 4, "patch": 4, "channels": 8, "channel_mult": (1, 2), "num_res_blocks": 1, "heads": 2,
    "max_frames": 3, "residual_std": 1.0, "max_noise_level": 0.5,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"scale": 10**20, "patch": 1},
        {"channels": 10**20},
        {"channel_mult": (1, 10**20)},
        {"channel_mult": (1,) * 99},
        {"num_res_blocks": 10**9},
        {"max_frames": 10**20},
        {"residual_std": float("inf")},
        {"residual_std": float("nan")},
        {"max_noise_level": 10**400},
        {"residual_std": "much"},
    ],
    ids=str,
)
def test_an_upscaler_of_absurd_sizes_is_refused(change):
    assert UpscalerConfig(**SIZES)
    with pytest.raises(
        CheckpointFormatError, match=r"description of its weights cannot be right|cannot be built"
    ):
        UpscalerConfig(**{**SIZES, **change})


@pytest.mark.parametrize("frames", [-1, 10**6, 10**30])
def test_layers_of_absurd_lengths_are_refused(good, tmp_path, frames):
    path = tmp_path / "layers"
    path.write_bytes(
        headers.with_description(good.files["native"], lambda config: {**config, "max_frames": frames})
    )
    with pytest.raises(CheckpointFormatError, match="max_frames is from 0 to 100000"):
        load_stack(path)


def test_a_weight_of_more_axes_than_pytorch_copies_is_refused(tmp_path):
    """A header may say so; of 65 axes the first copy failed, wherever it was made."""
    shape, path = [1] * 65, tmp_path / "deep.safetensors"
    header = json.dumps({"weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(CheckpointFormatError, match=r"in 65 axes\), but no weight has more than 6"):
        read_weights(path)
