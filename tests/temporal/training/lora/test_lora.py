"""Low-rank changes: nothing at birth, as merging by hand, learned alone, and files that others read."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn
from video_ldm.temporal.errors import IncompatibleModelError, InvalidInputError
from video_ldm.temporal.formats import lora_names, lvdm, modelscope
from video_ldm.temporal.formats.motion_lora import read_motion_lora, report_lora
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.sampling.clip import Clip
from video_ldm.temporal.stack.low_rank import Changed
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.training import checkpoint
from video_ldm.temporal.training.data.batches import BatchSource
from video_ldm.temporal.training.loop import Surroundings
from video_ldm.temporal.training.lora.config import LoraConfig
from video_ldm.temporal.training.lora.files import new_lora, write_lora
from video_ldm.temporal.training.lora.layers import LowRank
from video_ldm.temporal.training.lora.trainer import LoraTrainer
from video_ldm.temporal.training.noise_levels import stable_diffusion_levels
from video_ldm.temporal.weights.files import read_weights
from video_ldm.tests.temporal.tiny import sine_init
from video_ldm.tests.temporal.training import world

FRAMES = 4
SHAPE = replace(world.SHAPE, num_heads=-1, num_head_channels=8)
BASE = StackConfig(SHAPE, "tiny", 8, False, False)
STACKS = {
    "native": replace(BASE, known_frames=True, frame_rate=True),
    "AnimateDiff": replace(BASE, family="AnimateDiff v2", motion=MotionConfig(True, False, False)),
    "ModelScope": replace(BASE, family=modelscope.NAME, lvdm=modelscope.CONFIG),
}
KINDS = tuple(lora_names.KINDS)


@pytest.fixture(params=STACKS)
def stack(request, monkeypatch):
    monkeypatch.setattr(lvdm, "SHAPE", SHAPE)
    return sine_init(TemporalStack(STACKS[request.param]))


def through(stack: TemporalStack) -> torch.Tensor:
    """A clip that went through all layers, one after the other."""
    torch.manual_seed(5)
    hidden = torch.randn(FRAMES, 32, 3, 5)
    emb, context = torch.randn(FRAMES, 128), torch.randn(FRAMES, 2, 6)
    clip = stack.prepare(Clip(FRAMES))
    for site in stack.sites:
        if site.kind == "transformer":
            tokens = hidden.flatten(2).transpose(1, 2)
            hidden = stack(site, tokens, clip, context=context).transpose(1, 2).reshape(hidden.shape)
        elif site.kind == "conv":
            hidden = stack(site, hidden, clip, emb=emb)
        elif site.channels == 32:
            hidden = stack(site, hidden, clip)
    return hidden


def trained(stack: TemporalStack, config: LoraConfig) -> LowRank:
    """A LoRA whose every factor counts."""
    return sine_init(new_lora(stack, config), 0.4)


def kinds_in(stack: TemporalStack) -> tuple[str, ...]:
    return tuple(lora_names.kinds_of(stack))


def merged(stack: TemporalStack, lora: LowRank) -> TemporalStack:
    """The layers with the changes added to their weights, by hand."""
    stack = copy.deepcopy(stack)
    with torch.no_grad():
        for place, factors in zip(lora.changed, lora.factors, strict=True):
            change = factors.scale * factors.up @ factors.down.flatten(1)
            start, count = place.rows or (0, len(change))
            weight = stack.get_parameter(place.weight)[start : start + count]
            weight += change.reshape(weight.shape)
    return stack


def test_a_new_lora_is_no_change_to_the_last_bit(stack):
    before = through(stack)
    with new_lora(stack, LoraConfig(targets=kinds_in(stack))).beside(stack):
        assert torch.equal(through(stack), before)


def test_beside_the_layers_is_as_merged_into_them(stack):
    lora, before = trained(stack, LoraConfig(3, alpha=2.0, targets=kinds_in(stack))), through(stack)
    with lora.beside(stack):
        changed = through(stack)
    torch.testing.assert_close(changed, through(merged(stack, lora)), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(changed, before, atol=1e-2)
    assert torch.equal(through(stack), before)
    assert not any(module._forward_hooks for module in stack.modules())


def test_some_rows_of_a_weight_can_stay_as_they_are():
    layer = nn.Sequential(nn.Linear(4, 9, bias=False))
    lora = sine_init(LowRank(layer, [Changed("0.weight", (3, 3))], 2, 1.0))
    x = torch.randn(2, 4)
    with lora.beside(layer):
        change = layer(x) - layer[0](x).detach() * 0
    delta = change - x @ layer[0].weight.T
    assert delta[:, 3:6].abs().min() > 0
    assert delta[:, :3].abs().max() < 1e-6 > delta[:, 6:].abs().max()


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_convolutions_of_any_number_of_axes(axes):
    """Stable Video Diffusion's are over volumes."""
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    kernel = (3, 1, 1)[:axes]
    conv = nn.Sequential(kind(4, 6, kernel, padding=tuple(k // 2 for k in kernel)))
    lora = sine_init(LowRank(conv, [Changed("0.weight")], 2, 0.5))
    x = torch.randn(2, 4, *(5, 3, 2)[:axes])
    with lora.beside(conv):
        out = conv(x)
    with torch.no_grad():
        factors = lora.factors[0]
        conv[0].weight += 0.5 * (factors.up @ factors.down.flatten(1)).reshape(conv[0].weight.shape)
    torch.testing.assert_close(out, conv(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("spelling", ["animatediff", "diffusers", "kohya"])
@pytest.mark.parametrize("alpha", [0.0, 2.0])
def test_every_spelling_is_read_back_bit_for_bit(stack, spelling, alpha, tmp_path):
    """By the reader of Load Motion LoRA; a scale is a power of two here, which numbers take without loss."""
    config = LoraConfig(4, alpha, kinds_in(stack), trigger="wobble")
    lora, path = trained(stack, config), tmp_path / "lora.safetensors"
    notes = {"base": "toy.safetensors", "module": "mm.ckpt", "steps": 7}
    if spelling == "animatediff" and stack.config.motion is None:
        with pytest.raises(InvalidInputError, match="AnimateDiff's spelling has no names for the layers"):
            write_lora(path, lora, stack, config, spelling, notes)
        return
    write_lora(path, lora, stack, config, spelling, notes)
    found = read_motion_lora(read_weights(path), stack)
    assert len(found.targets) == len(lora.changed)
    by_place = {
        (place.weight, place.rows): factors for place, factors in zip(lora.changed, lora.factors, strict=True)
    }
    for module, target in found.targets.items():
        place = (target, None) if isinstance(target, str) else (target[0], target[1][1:])
        mine, scale = by_place[place], found.factors.get(f"{module}.alpha")
        up, down = (found.factors[f"{module}.lora_{side}.weight"] for side in ("up", "down"))
        up = up * (1 if scale is None else float(scale) / 4)
        assert torch.equal(down.flatten(1), mine.down.flatten(1))
        assert torch.equal(up.flatten(1), mine.up * mine.scale)
    report = report_lora(found, stack)
    assert "Trigger: put wobble into the prompt" in report
    assert "Trained on toy.safetensors with mm.ckpt, 7 steps" in report
    assert "rank 4" in report


def test_words_name_layers_and_a_word_without_layers_is_refused(stack):
    usual = lora_names.usual_kinds(stack)
    places = lora_names.chosen_places(stack, usual)
    assert len(places) < len(lora_names.chosen_places(stack, kinds_in(stack)))
    part = lora_names.example(stack)
    some = lora_names.chosen_places(stack, (part,))
    assert some and all(any(part in name for name in place.names.values()) for place in some)
    with pytest.raises(InvalidInputError, match="is called 'wheels'; name kinds of layers \\(attention"):
        lora_names.chosen_places(stack, ("wheels",))


def test_a_lora_of_other_layers_is_refused_by_the_reader(tmp_path):
    native, other = (sine_init(TemporalStack(STACKS[kind])) for kind in ("native", "AnimateDiff"))
    config = LoraConfig(2)
    write_lora(tmp_path / "l.safetensors", new_lora(native, config), native, config, "kohya", {})
    with pytest.raises(ValueError, match="is not a motion LoRA for AnimateDiff v2"):
        read_motion_lora(read_weights(tmp_path / "l.safetensors"), other)
    write_lora(tmp_path / "m.safetensors", new_lora(other, config), other, config, "animatediff", {})
    with pytest.raises(IncompatibleModelError, match="was not made for the layers of the MODEL"):
        read_motion_lora(read_weights(tmp_path / "m.safetensors"), native)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return world.make_cache(tmp_path_factory.mktemp("clips"))


def make_trainer(cache, rank: int = 4, **changes) -> LoraTrainer:
    torch.manual_seed(0)
    model, config = world.ImageModel(), world.settings(**changes)
    stack = TemporalStack(replace(STACKS["native"], unet=world.SHAPE))
    settings = LoraConfig(rank)
    torch.manual_seed(1)
    batches = BatchSource(cache, config, stable_diffusion_levels())
    return LoraTrainer(new_lora(stack, settings), settings, stack, Surroundings(model.denoise, batches))


def run(trainer: LoraTrainer, **until) -> LoraTrainer:
    with trainer.lora.beside(trainer.stack):
        trainer.run(**until)
    return trainer


@pytest.mark.slow
def test_only_the_factors_learn(cache):
    trainer = make_trainer(cache, steps=24, batch=3, learning_rate=5e-2, warmup=5)
    before = copy.deepcopy(trainer.stack.state_dict())
    run(trainer)
    assert sum(trainer.losses[-8:]) < 0.9 * sum(trainer.losses[:8])
    assert all(torch.equal(value, before[name]) for name, value in trainer.stack.state_dict().items())
    assert all(factors.up.abs().max() > 0 for factors in trainer.lora.factors)
    held = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in trainer.lora.parameters()}


@pytest.mark.slow
def test_a_resumed_lora_is_bit_identical_and_one_of_another_rank_is_refused(cache, tmp_path):
    straight, path = run(make_trainer(cache)), tmp_path / "state.pt"
    checkpoint.save_state(path, run(make_trainer(cache), until=3).state_dict())
    resumed = make_trainer(cache)
    checkpoint.go_on(resumed, path)
    run(resumed)
    assert resumed.losses == straight.losses
    assert all(
        torch.equal(value, resumed.lora.state_dict()[name])
        for name, value in straight.lora.state_dict().items()
    )
    with pytest.raises(IncompatibleModelError, match=r"is not of a LoRA of rank 5: .* or at another rank"):
        checkpoint.go_on(make_trainer(cache, rank=5), path)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"rank": 0}, "The rank is 0; give 1 or more"),
        ({"alpha": -1.0}, "alpha is -1; give a number above 0"),
        ({"looks_steps": -1}, "looks_steps is -1; give 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, sentence):
    with pytest.raises(InvalidInputError, match=sentence):
        LoraConfig(**settings)
