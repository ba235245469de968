"""Every spelling of motion modules into every other and back: the same keys, the same bits."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.formats import convert, load_stack, lvdm, motion_modules, save_stack, svd
from video_ldm.temporal.formats.convert import write
from video_ldm.temporal.formats.facts import FACTS
from video_ldm.temporal.formats.motion_adapter import DIFFUSERS
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.stack.plan import UNetShape
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack

from ..tiny import new_stack, sine_init
from . import tiny_models as tiny_models_of

SHAPES = {
    levels: UNetShape(
        model_channels=32,
        channel_mult=(1,) * levels,
        num_res_blocks=(1,) * levels,
        transformer_depth=(1,) * levels,
        transformer_depth_output=(1,) * (2 * levels),
        transformer_depth_middle=1,
        context_dim=8,
        num_heads=2,
    )
    for levels in (2, 3)
}
CASES = {
    ("AnimateDiff v1", "SD 1.x", False, 24): ("original", "diffusers"),
    ("AnimateDiff v2", "SD 1.x", True, 32): ("original", "diffusers"),
    ("AnimateDiff v3", "SD 1.x", False, 32): ("original", "diffusers"),
    ("AnimateDiff Long", "SD 1.x", True, 64): ("original", "diffusers"),
    ("AnimateLCM", "SD 1.x", True, 64): ("original", "diffusers"),
    ("PIA", "SD 1.x", False, 32): ("original", "diffusers"),
    ("AnimateLCM-I2V", "SD 1.x", True, 64): ("original",),
    ("AnimateDiff SDXL beta", "SDXL", False, 32): ("original", "diffusers"),
    ("HotShot-XL", "SDXL", False, 24): ("original", "diffusers", "hotshot"),
}


@pytest.fixture(autouse=True)
def tiny_bases(monkeypatch):
    monkeypatch.setattr(motion_modules, "BASES", {2: ("SDXL", SHAPES[2]), 3: ("SD 1.x", SHAPES[3])})


def stack_of(family: str, base: str, middle: bool, max_frames: int) -> TemporalStack:
    facts = FACTS[family]
    config = StackConfig(
        unet=SHAPES[3 if base == "SD 1.x" else 2],
        base=base,
        max_frames=max_frames,
        known_frames=False,
        frame_rate=False,
        family=family,
        motion=MotionConfig(middle, facts.clip_norm, facts.clip_norm_image),
        image={"PIA": "affinity", "AnimateLCM-I2V": "encoder"}.get(family),
    )
    return sine_init(TemporalStack(config)).half()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_round_trips_keep_every_bit(tmp_path, case):
    stack, files = stack_of(*case), {}
    for spelling in (*CASES[case], "native"):
        files[spelling] = tmp_path / f"{spelling}.safetensors"
        write(files[spelling], stack, spelling)
    weights = {spelling: load_file(file) for spelling, file in files.items()}
    for file in files.values():
        loaded = load_stack(file)
        assert loaded.config == stack.config
        for spelling, before in weights.items():
            write(tmp_path / "again.safetensors", loaded, spelling)
            after = load_file(tmp_path / "again.safetensors")
            assert before.keys() == after.keys()
            assert all(torch.equal(before[key], after[key]) for key in before)


def test_layers_without_a_name_in_a_spelling_are_refused(tmp_path):
    for stack, spelling in ((new_stack(), "original"), (stack_of(*next(iter(CASES))), "hotshot")):
        with pytest.raises(InvalidInputError, match=r"spelling has no names for .*; write them as native"):
            write(tmp_path / "out.safetensors", stack, spelling)


@pytest.fixture
def command():
    """`python -m video_ldm.formats`."""
    from video_ldm.formats.__main__ import main

    return main


def test_the_command_converts_and_inspects(tmp_path, command, capsys):
    save_stack(tmp_path / "in.safetensors", stack_of("AnimateDiff v2", "SD 1.x", True, 32))
    out = str(tmp_path / "out.safetensors")
    assert command(["convert", str(tmp_path / "in.safetensors"), out, "--to", "diffusers"]) == 0
    assert command(["inspect", out]) == 0
    printed = capsys.readouterr().out
    assert "AnimateDiff v2 (native file)" in printed and "AnimateDiff v2 (diffusers file)" in printed
    assert "Noise schedule: sqrt_linear, 0.00085 to 0.012\n" in printed and "Licence: Apache-2.0" in printed


def test_a_file_of_that_name_is_left_as_it_is(tmp_path, command, capsys):
    """It may be the download itself."""
    save_stack(tmp_path / "in.safetensors", stack_of("AnimateDiff v2", "SD 1.x", True, 32))
    before = (tmp_path / "in.safetensors").read_bytes()
    assert command(["convert", str(tmp_path / "in.safetensors"), str(tmp_path / "in.safetensors")]) == 2
    assert "already, which is left as it is" in capsys.readouterr().err
    assert (tmp_path / "in.safetensors").read_bytes() == before


def test_the_command_refuses_in_one_sentence(tmp_path, command, capsys):
    save_file({"weight": torch.zeros(1)}, tmp_path / "in.safetensors")
    assert command(["inspect", str(tmp_path / "in.safetensors")]) == 2
    assert capsys.readouterr().err.startswith("error: in.safetensors holds no temporal layers:")


@pytest.fixture
def tiny_models(monkeypatch):
    for family in (lvdm, svd):
        monkeypatch.setattr(family, "SHAPE", tiny_models_of.SHAPE)


@pytest.mark.slow
@pytest.mark.parametrize("family", ["Stable Video Diffusion", "ModelScope or ZeroScope"])
def test_whole_models_go_from_spelling_to_spelling_without_loss(
    tmp_path, tiny_models, command, capsys, family
):
    weights = tiny_models_of.svd_weights() if family == svd.NAME else tiny_models_of.modelscope_weights()
    first, other, again = (str(tmp_path / f"{name}.safetensors") for name in ("first", "other", "again"))
    save_file(weights, first)
    assert command(["convert", first, other, "--to", "original"]) == 0
    assert command(["inspect", other]) == 0
    assert f"{family} (original file)" in capsys.readouterr().out
    assert command(["convert", other, again, "--to", "diffusers"]) == 0
    before, between, after = load_file(first), load_file(other), load_file(again)
    assert before.keys() == after.keys() and not before.keys() & between.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    if family != svd.NAME:
        assert between["input_blocks.1.2.proj_in.weight"].ndim == 3


@pytest.mark.slow
def test_a_whole_model_has_no_native_spelling_and_is_written_in_its_other_one(
    tmp_path, tiny_models, command, capsys
):
    given, out = str(tmp_path / "in.safetensors"), str(tmp_path / "out.safetensors")
    save_file(tiny_models_of.modelscope_weights(), given)
    assert command(["convert", given, out, "--to", "native"]) == 2
    assert (
        "the UNet of ModelScope or ZeroScope has no native spelling; it is written as original, diffusers."
        in (capsys.readouterr().err)
    )
    assert command(["convert", given, out]) == 0
    written = f"Written to {out}: the UNet of ModelScope or ZeroScope in the original spelling.\n"
    assert capsys.readouterr().out.endswith(written)
    assert command(["inspect", out]) == 0
    assert capsys.readouterr().out.startswith("ModelScope or ZeroScope (original file)")


@pytest.mark.slow
@pytest.mark.parametrize("tables", [True, False])
@pytest.mark.parametrize(
    ("family", "base", "middle", "taken_for"),
    [
        ("AnimateDiff v1", "SD 1.x", False, "AnimateDiff v3"),
        ("AnimateLCM", "SD 1.x", True, "AnimateDiff v2"),
        ("HotShot-XL", "SDXL", False, "AnimateDiff SDXL beta"),
    ],
)
def test_a_family_that_keys_do_not_tell_can_be_named(
    tmp_path, command, capsys, family, base, middle, taken_for, tables
):
    given = str(tmp_path / "in.safetensors")
    weights = dict(convert.spelled(stack_of(family, base, middle, 32), DIFFUSERS))
    save_file({key: weight for key, weight in weights.items() if tables or not key.endswith(".pe")}, given)
    assert load_stack(given).config.family == taken_for
    for spelling in ("diffusers", "native"):
        out = str(tmp_path / f"{spelling}.safetensors")
        assert command(["convert", given, out, "--to", spelling, "--family", family]) == 0
        assert capsys.readouterr().out.startswith(f"{family} (diffusers file)")
        named = load_stack(out).config
        assert named.family == family and named.motion.clip_norm_image == FACTS[family].clip_norm_image


def test_a_family_that_a_file_cannot_be_is_refused(tmp_path, tiny_models, command, capsys):
    given, out = str(tmp_path / "in.safetensors"), str(tmp_path / "out.safetensors")
    write(given, stack_of("AnimateDiff v2", "SD 1.x", True, 32), "diffusers")
    for wrong in ("AnimateDiff v3", "Animate LCM"):
        assert command(["convert", given, out, "--family", wrong]) == 2
        assert (
            f"cannot be '{wrong}': motion modules with these keys are AnimateDiff v2 or AnimateDiff Long "
            "or AnimateLCM." in (capsys.readouterr().err)
        )
    save_file(tiny_models_of.modelscope_weights(), given)
    assert command(["convert", given, out, "--family", "AnimateLCM"]) == 2
    assert "The family of in.safetensors cannot be chosen" in capsys.readouterr().err
