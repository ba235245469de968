"""Load Motion LoRA: as merging by hand, in every spelling, and no larger than the file."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from ..families import motion_rig as rig

RANK = 2
LAYERS = ("attn1.to_q", "attn1.to_k", "attn2.to_v", "attn2.to_out.0", "ff.net.0.proj", "ff.net.2")


@pytest.fixture(scope="module")
def unet(host):
    return rig.reference_unet("SD 1.x", True, 32)


@pytest.fixture(scope="module")
def image(unet):
    return rig.host_model("SD 1.x", unet)


@pytest.fixture(autouse=True)
def tiny_bases(monkeypatch):
    from video_ldm.temporal.formats import motion_modules

    monkeypatch.setattr(motion_modules, "BASES", {4: ("SD 1.x", rig.TINY_SD1)})


@pytest.fixture
def file(host):
    """Write weights into one of the host's folders: the name to pick. Gone after the test."""
    paths = []

    def write(folder, weights):
        path = host.base / "models" / folder / f"under_test_{len(paths)}.safetensors"
        path.parent.mkdir(exist_ok=True)
        save_file({key: value.contiguous() for key, value in weights.items()}, path)
        paths.append(path)
        return path.name

    yield write
    for path in paths:
        path.unlink()


def factors(unet, blocks=("down_blocks.1.motion_modules.0", "mid_block.motion_modules.0"), seed=2):
    """Random low-rank changes in diffusers' names: layer to (up, down)."""
    torch.manual_seed(seed)
    state = unet.state_dict()
    found = {}
    for block in blocks:
        for layer in LAYERS:
            name = f"{block}.transformer_blocks.0.{layer}"
            rows, columns = state[f"{name}.weight"].shape
            found[name] = (torch.randn(rows, RANK) * 0.3, torch.randn(RANK, columns) * 0.3)
    return found


def original(name):
    """The name in AnimateDiff's files."""
    return next(iter(rig.as_original({f"{name}.weight": torch.zeros(1)}))).removesuffix(".weight")


def processors(name):
    """The layer of a name and how old attention processors call its factors."""
    attention, _, layer = name.rpartition(".to_")
    if attention:
        return f"{attention}.processor.to_{layer.split('.')[0]}_lora."
    return name.replace("net.0.proj", "net.0.processor.proj_lora.").replace("net.2", "net.processor.2_lora.")


def motion_director_style(name):
    """Names like those of `processors`, with the place in the list of a layer before "lora"."""
    return processors(name).replace(".processor.to_out_lora.", ".to_out.processor.0_lora.")


SPELLINGS = {
    "AnimateDiff": lambda name: (
        f"{processors(original(name))}up.weight",
        f"{processors(original(name))}down.weight",
    ),
    "diffusers": lambda name: (f"unet.{processors(name)}up.weight", f"unet.{processors(name)}down.weight"),
    "peft": lambda name: (f"unet.{name}.lora_B.weight", f"unet.{name}.lora_A.weight"),
    "MotionDirector style": lambda name: (
        f"{motion_director_style(original(name))}up.weight",
        f"{motion_director_style(original(name))}down.weight",
    ),
    "kohya": lambda name: (f"{original(name)}.lora_up.weight", f"{original(name)}.lora_down.weight"),
    "flat": lambda name: (f"{flat(name)}.lora_up.weight", f"{flat(name)}.lora_down.weight"),
    "prefixed": lambda name: (
        f"module.unet.{original(name)}.lora_up.weight",
        f"module.unet.{original(name)}.lora_down.weight",
    ),
}


def flat(name):
    """Names that trainers of image LoRAs give to layers."""
    return f"lora_unet_{original(name).replace('.', '_')}"


def spelled(changes, spelling):
    return {
        key: factor
        for name, pair in changes.items()
        for key, factor in zip(SPELLINGS[spelling](name), pair, strict=True)
    }


def merged(weights, *changes):
    """Weights with changes merged by hand: (factors, strength)."""
    weights = dict(weights)
    for lora, strength in changes:
        for name, (up, down) in lora.items():
            weights[f"{name}.weight"] = weights[f"{name}.weight"] + strength * up @ down
    return weights


def load(image, file, weights, *loras):
    from video_ldm.nodes.load import LoadMotionLora, LoadTemporalLayers

    model = LoadTemporalLayers.execute(image, file("temporal_layers", weights), 1.0).result[0]
    for lora, strength in loras:
        model = LoadMotionLora.execute(model, file("motion_lora", lora), strength).result[0]
    return model


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_it_is_as_merging_by_hand(image, unet, file, spelling):
    weights, lora = rig.motion_weights(unet), factors(unet)
    out = rig.one_call(load(image, file, weights, (spelled(lora, spelling), 0.8))).out
    by_hand = rig.one_call(load(image, file, merged(weights, (lora, 0.8)))).out
    torch.testing.assert_close(out, by_hand, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(out, rig.one_call(load(image, file, weights)).out, atol=1e-2)


def test_two_add_up_and_alpha_scales(image, unet, file):
    weights, first, second = rig.motion_weights(unet), factors(unet), factors(unet, seed=3)
    alpha = {f"{original(name)}.alpha": torch.tensor(1.0) for name in second}
    loras = ((spelled(first, "AnimateDiff"), 0.5), ({**spelled(second, "kohya"), **alpha}, 1.0))
    out = rig.one_call(load(image, file, weights, *loras)).out
    by_hand = merged(weights, (first, 0.5), (second, 1 / RANK))
    torch.testing.assert_close(out, rig.one_call(load(image, file, by_hand)).out, rtol=1e-4, atol=1e-4)


def test_the_same_one_twice_is_twice_as_much(image, unet, file):
    weights, lora = rig.motion_weights(unet), factors(unet)
    twice = [(spelled(lora, "flat"), 0.4)] * 2
    out = rig.one_call(load(image, file, weights, *twice)).out
    by_hand = rig.one_call(load(image, file, merged(weights, (lora, 0.8)))).out
    torch.testing.assert_close(out, by_hand, rtol=1e-4, atol=1e-4)


def test_it_stays_low_rank_and_the_model_before_it_unchanged(image, unet, file):
    from video_ldm.nodes.load import LoadMotionLora

    weights, lora = rig.motion_weights(unet), factors(unet)
    plain = load(image, file, weights)
    before = rig.one_call(plain).out
    changed = LoadMotionLora.execute(plain, file("motion_lora", spelled(lora, "AnimateDiff")), 1.0).result[0]
    before_lora, (added,) = plain.get_additional_models(), changed.get_additional_models()[1:]
    held = sum(weight.numel() for weight in added.model.parameters())
    assert held == sum(factor.numel() for pair in lora.values() for factor in pair)
    rig.one_call(changed)
    assert changed.get_additional_models()[0].model is before_lora[0].model
    assert not any(patcher.backup for patcher in changed.get_additional_models())
    make, given = added.cached_patcher_init
    again = make(*given).model.state_dict()
    for name, weight in added.model.state_dict().items():
        assert torch.equal(weight, again[name]) and weight.data_ptr() != again[name].data_ptr()
    assert torch.equal(rig.one_call(plain).out, before)


def test_the_middle_block_is_skipped_where_there_is_none(image, unet, file):
    weights = {k: v for k, v in rig.motion_weights(unet).items() if not k.startswith("mid_block.")}
    lora = factors(unet)
    out = rig.one_call(load(image, file, weights, (spelled(lora, "diffusers"), 1.0))).out
    down = {name: pair for name, pair in lora.items() if not name.startswith("mid_block.")}
    by_hand = rig.one_call(load(image, file, merged(weights, (down, 1.0)))).out
    torch.testing.assert_close(out, by_hand, rtol=1e-4, atol=1e-4)


def test_wrong_files_and_models_are_refused(image, unet, file):
    from video_ldm.nodes.load import LoadMotionLora
    from video_ldm.temporal.errors import CheckpointFormatError, IncompatibleModelError

    name = file("motion_lora", {"lora_unet_middle.lora_up.weight": torch.zeros(2, 2)})
    with pytest.raises(IncompatibleModelError, match="has no temporal layers"):
        LoadMotionLora.execute(image, name, 1.0)
    with pytest.raises(
        CheckpointFormatError,
        match="is not a motion LoRA for AnimateDiff v2: it is a LoRA; load it with a LoRA loader",
    ):
        LoadMotionLora.execute(load(image, file, rig.motion_weights(unet)), name, 1.0)


def test_the_report_is_shown_and_logged(image, unet, file, caplog):
    from video_ldm.nodes.load import LoadMotionLora

    lora = spelled(factors(unet), "diffusers")
    name = file("motion_lora", lora)
    with caplog.at_level("INFO"):
        node = LoadMotionLora.execute(load(image, file, rig.motion_weights(unet)), name, 1.0)
    report = node.result[1]
    assert (
        report.startswith("Motion LoRA (diffusers file), rank 2, ")
        and "on AnimateDiff v2\nLayers: 12 changed\n" in report
    )
    assert report.endswith(f"\nKeys: {len(lora)} used")
    assert f"{name}: {report}" in caplog.text
    assert node.ui["text"] == (report,)


def test_two_stacks_of_which_none_takes_motion_loras_are_refused(host, file):
    from video_ldm.nodes.load import LoadMotionLora
    from video_ldm.temporal.errors import IncompatibleModelError

    from ..rig import Rig

    toy = Rig()
    twice = toy.with_layers(toy.with_layers(), toy.stack())
    name = file("motion_lora", {"a.lora_up.weight": torch.zeros(2, 2)})
    with pytest.raises(IncompatibleModelError, match="not made for the layers of the MODEL"):
        LoadMotionLora.execute(twice, name, 1.0)


def test_motiondirectors_list_belongs_to_another_model(image, unet, file, host):
    from video_ldm.nodes.load import LoadMotionLora
    from video_ldm.temporal.errors import IncompatibleModelError

    model = load(image, file, rig.motion_weights(unet))
    name = file("motion_lora", {str(number): torch.zeros(2, 2) for number in range(4)})
    with pytest.raises(
        IncompatibleModelError, match=r"of MotionDirector .* Load ModelScope or ZeroScope with"
    ):
        LoadMotionLora.execute(model, name, 1.0)
