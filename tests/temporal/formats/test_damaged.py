"""Five hundred damaged files.

Each ends in one clear sentence or in weights that can be used, in little memory.
"""

from collections import Counter

import pytest
import torch
from video_ldm.temporal.decoder.formats import load_decoder
from video_ldm.temporal.errors import VideoLDMError
from video_ldm.temporal.formats import load_stack, motion_modules
from video_ldm.temporal.formats.motion_lora import read_motion_lora
from video_ldm.temporal.weights.files import read_weights

from ... import damage
from ... import damage_headers as headers
from ...memory import MB, Peak

LONGEST = 1200  # a sentence that names six keys, all of them long
MEMORY = 200 * MB  # a file has at most 1 MB


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return damage.Good.made(tmp_path_factory.mktemp("good"))


@pytest.fixture(autouse=True)
def tiny_base(monkeypatch):
    monkeypatch.setattr(motion_modules, "BASES", damage.BASES)


@pytest.fixture
def loaders(good, tmp_path):
    """By name of the good file: path to what can be used, as finite tensors."""
    (tmp_path / "motion").write_bytes(good.files["motion"])
    stack = load_stack(tmp_path / "motion")

    def layers(path):
        return load_stack(path).state_dict()

    loaders = dict.fromkeys(good.files, layers)
    loaders["decoder"] = lambda path: load_decoder(path).state_dict()
    loaders["lora"] = lambda path: read_motion_lora(read_weights(path), stack).factors
    return loaders


def test_the_good_files_are_good(good, loaders, tmp_path):
    for name, content in good.files.items():
        (tmp_path / name).write_bytes(content)
        assert loaders[name](tmp_path / name), name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:invalid escape sequence:DeprecationWarning")
def test_every_damaged_file_is_refused_in_a_sentence_or_can_be_used(good, loaders, tmp_path):
    path, ends = tmp_path / "bad.bin", Counter()
    list(damage.damaged(good, 120))  # what makes the files has its own memory
    peak = Peak()
    for what, name, content in damage.damaged(good):
        path.unlink(missing_ok=True)  # a file that is open may be mapped
        path.write_bytes(content)
        try:
            tensors = loaders[name](path)
        except VideoLDMError as error:
            ends["refused"] += 1
            check_sentence(what, str(error))
        else:
            ends["used"] += 1
            assert all(bool(torch.isfinite(tensor.float()).all()) for tensor in tensors.values()), what
    assert sum(ends.values()) == damage.COUNT and min(ends.values()) > 50, ends
    assert peak.bytes() < MEMORY


def check_sentence(what: str, sentence: str) -> None:
    assert sentence.isprintable() and len(sentence) < LONGEST, (what, sentence)
    assert sentence[-1] in ".)" and "Error(s)" not in sentence, (what, sentence)


def test_code_in_a_pickle_is_named_and_not_run(good, tmp_path):
    (tmp_path / "evil.ckpt").write_bytes(damage.torch_saved({"weight": damage.Call(bytearray, 2**50)}))
    with pytest.raises(
        VideoLDMError,
        match=r"would run code when opened, so it was not opened\. It calls "
        r"'(builtins|__builtin__).bytearray'",
    ):
        read_weights(tmp_path / "evil.ckpt")


@pytest.mark.slow
def test_a_bomb_is_not_unpacked(good, tmp_path):
    import random

    path = tmp_path / "bomb.ckpt"
    path.write_bytes(damage.a_bomb(b"", random.Random(0)))
    peak = Peak()
    with pytest.raises(VideoLDMError, match=r"bomb.ckpt is a compressed archive, which PyTorch never writes"):
        read_weights(path)
    assert peak.bytes() < damage.BOMB // 4


@pytest.mark.parametrize(
    ("strange", "message"),
    [
        (torch.zeros(1).expand(2**20, 2**20), "not a plain tensor of the file's own bytes"),
        (torch.ones(3).to_sparse(), "would run code|not a plain tensor"),
        (torch.ones(3, dtype=torch.int64), "kind int64, but weights are floating-point"),
    ],
)
def test_what_is_no_plain_weight_is_refused(good, loaders, tmp_path, strange, message):
    weights = torch.load(damage.io.BytesIO(good.files["legacy"]), weights_only=True)
    key = "mid_block.motion_modules.0.temporal_transformer.norm.weight"
    strange = strange.expand(32) if strange.numel() == 1 else strange
    if strange.dtype == torch.int64:
        strange = torch.ones(32, dtype=torch.int64)
    torch.save({**weights, key: strange}, tmp_path / "strange.ckpt")
    with pytest.raises(VideoLDMError, match=message):
        loaders["zip"](tmp_path / "strange.ckpt")


def test_wrappers_without_end_end(tmp_path):
    cycle: dict = {}
    cycle["state_dict"] = cycle
    torch.save(cycle, tmp_path / "cycle.ckpt")
    with pytest.raises(VideoLDMError, match="holds no weights; it holds 'state_dict'"):
        load_stack(tmp_path / "cycle.ckpt")


@pytest.mark.parametrize("ends", [".weight", "to_q.weight"], ids=["all matrices", "queries only"])
def test_layers_in_8_bits_are_read(good, loaders, tmp_path, ends):
    from safetensors.torch import load, save

    weights = load(good.files["motion"])
    large = {
        key: weight.to(torch.float8_e4m3fn) if weight.ndim == 2 and key.endswith(ends) else weight
        for key, weight in weights.items()
    }
    (tmp_path / "layers").write_bytes(save(large))
    kinds = {tensor.dtype for tensor in loaders["motion"](tmp_path / "layers").values()}
    assert {".weight": torch.float8_e4m3fn, "to_q.weight": torch.float32}[ends] in kinds


@pytest.mark.parametrize(
    ("leaf", "value", "message"),
    [
        ("up", None, "only one of the two factors of mid_block"),
        (
            "up",
            torch.zeros(7, 2),
            r"have shapes \(7, 2\) and \(2, 32\), but AnimateDiff v2 needs \(32, rank\)",
        ),
        ("down", torch.full((2, 32), torch.nan), "lora_down.weight is not finite"),
    ],
)
def test_a_damaged_motion_lora_is_refused(good, loaders, tmp_path, leaf, value, message):
    from safetensors.torch import load, save

    factors = load(good.files["lora"])
    key = next(key for key in sorted(factors) if key.startswith("mid_block.") and f"to_q_lora.{leaf}." in key)
    del factors[key]
    (tmp_path / "lora").write_bytes(save(factors if value is None else {**factors, key: value}))
    with pytest.raises(VideoLDMError, match=message):
        loaders["lora"](tmp_path / "lora")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_channels": 33}, "model_channels is a multiple of 32"),
        ({"channel_mult": [1] * 100}, "channel_mult has 1 to 8 levels"),
        ({"channel_mult": 1}, r"channel_mult = 1, but tuple\[int, \.\.\.\] was expected"),
        ({"transformer_depth": [10**6]}, "at most 32 blocks"),
        ({"transformer_depth_output": [1]}, "transformer_depth_output has a number for each block"),
        ({"num_heads": 0}, "heads divide the channels"),
        ({"num_head_channels": 0}, "heads divide the channels"),
        (
            {"num_res_blocks": [8], "transformer_depth": [32] * 8, "transformer_depth_output": [32] * 9},
            r"describes \d+ layers but holds \d+ tensors",
        ),
    ],
)
def test_a_description_that_cannot_be_right_is_refused(good, loaders, tmp_path, change, message):
    def changed(config):
        config["unet"].update(change)
        return config

    (tmp_path / "layers").write_bytes(headers.with_description(good.files["native"], changed))
    with pytest.raises(VideoLDMError, match=message):
        loaders["native"](tmp_path / "layers")
