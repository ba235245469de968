"""The stack as a whole.

It changes nothing until it is trained, keeps clips apart and respects alpha and strength.
"""

import re

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from video_ldm.temporal.errors import IncompatibleModelError
from video_ldm.temporal.sampling.clip import Clip
from video_ldm.temporal.stack.plan import SD1, SD2, plan
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack

from ..tiny import SHAPE, clip_with_known_frames, descend, inputs, new_stack, normal, site_of, trained_stack

SITES = plan(SHAPE)
KINDS = [site_of("conv", 0), site_of("conv", 1), site_of("transformer", 0), site_of("transformer", 1)]
by_site = pytest.mark.parametrize("site", KINDS, ids=lambda site: f"{site.kind}{site.level}")


@pytest.mark.parametrize(
    ("unet", "parameters"), [(SD2, 656_076_838), (SD1, 649_687_078)], ids=["SD 2.x", "SD 1.4"]
)
@pytest.mark.parametrize("positions", [None, "tokens"])
def test_parameter_count_is_the_papers(unet, parameters, positions):
    config = StackConfig(
        unet, base="", max_frames=8, known_frames=False, frame_rate=False, positions=positions
    )
    stack = TemporalStack(config, device="meta")
    assert sum(parameter.numel() for parameter in stack.parameters()) == parameters


@pytest.mark.parametrize("positions", [None, "tokens"])
@pytest.mark.parametrize("num_frames", [1, 3, 5])
def test_a_new_stack_is_the_identity_bit_for_bit(num_frames, positions):
    stack = new_stack(positions=positions)
    clip = stack.prepare(clip_with_known_frames(num_frames, fps=24, window=2))
    for site in SITES:
        given = inputs(site, num_frames)
        assert torch.equal(stack(site, clip=clip, **given), given["hidden"]), site.path


def test_known_frames_at_the_input_change_nothing_in_a_new_stack_and_known_frames_alone_in_a_trained_one():
    for make in (new_stack, trained_stack):
        stack = make(image_model="changed")
        site = stack.sites[0]
        assert (site.path, site.kind) == ("input_blocks.0.0", "given")
        hidden = normal(6, 64, 5, 7)
        clip = stack.prepare(clip_with_known_frames(3))
        out = stack(site, hidden, clip)
        same = [torch.equal(a, b) for a, b in zip(out, hidden, strict=True)]
        assert same == ([True] * 6 if make is new_stack else [False, True, True] * 2)
        assert stack(site, hidden, stack.prepare(Clip(3))) is hidden


@by_site
@pytest.mark.parametrize(
    "settings", [{"strength": 0.0}, {"alphas": {"input": 1.0}}], ids=["strength", "alpha"]
)
def test_strength_0_and_alpha_1_are_the_image_model_bit_for_bit(site, settings):
    stack = trained_stack()
    given = inputs(site, 3)
    assert stack(site, clip=stack.prepare(Clip(3, **settings)), **given) is given["hidden"]


@by_site
def test_a_learned_alpha_of_1_is_the_image_model_bit_for_bit(site):
    stack = trained_stack()
    stack.layers[site.name].mix_factor.data.fill_(40)
    given = inputs(site, 3)
    assert torch.equal(stack(site, clip=stack.prepare(Clip(3)), **given), given["hidden"])


@by_site
def test_strength_scales_what_the_temporal_layer_adds(site):
    stack = trained_stack()
    given = inputs(site, 3)
    full, half = (stack(site, clip=stack.prepare(Clip(3, strength=s)), **given) for s in (1.0, 0.5))
    torch.testing.assert_close(half - given["hidden"], (full - given["hidden"]) / 2, rtol=1e-4, atol=1e-5)
    assert (full - given["hidden"]).abs().max() > 0.01


@by_site
def test_alpha_is_overridden_where_it_is_asked_for(site):
    stack = trained_stack()
    given = inputs(site, 3)
    pure = stack(site, clip=stack.prepare(Clip(3, alphas={"input": 0.0})), **given)
    mixed = stack(site, clip=stack.prepare(Clip(3, alphas={f"input.{site.level}": 0.25})), **given)
    learned = stack(site, clip=stack.prepare(Clip(3)), **given)
    elsewhere = stack(site, clip=stack.prepare(Clip(3, alphas={"output": 0.0})), **given)
    torch.testing.assert_close(mixed, 0.25 * given["hidden"] + 0.75 * pure, rtol=1e-4, atol=1e-5)
    assert torch.equal(learned, elsewhere)


@by_site
def test_clips_never_mix(site):
    stack = trained_stack()
    given = inputs(site, 3)
    clip = stack.prepare(clip_with_known_frames(3))
    changed = {name: torch.cat([value[:3] + 1, value[3:]]) for name, value in given.items()}
    before, after = (stack(site, clip=clip, **x) for x in (given, changed))
    assert torch.equal(before[3:], after[3:])
    assert not torch.equal(before[:3], after[:3])


@by_site
def test_every_frame_sees_the_others(site):
    stack = trained_stack()
    given = inputs(site, 3)
    clip = stack.prepare(Clip(3))
    changed = dict(given, hidden=given["hidden"].clone())
    changed["hidden"][1] += normal(*given["hidden"].shape[1:], seed=8)
    difference = stack(site, clip=clip, **changed) - stack(site, clip=clip, **given)
    assert all(difference[frame].abs().max() > 1e-4 for frame in (0, 1, 2))


@by_site
def test_permuting_the_clips_permutes_the_result(site):
    stack = trained_stack()
    given = inputs(site, 3)
    swapped = {name: torch.cat([value[3:], value[:3]]) for name, value in given.items()}
    one, other = (stack(site, clip=stack.prepare(Clip(3)), **x) for x in (given, swapped))
    torch.testing.assert_close(other, torch.cat([one[3:], one[:3]]), rtol=1e-5, atol=1e-5)


@by_site
def test_a_single_frame_is_a_clip(site):
    stack = trained_stack()
    given = inputs(site, 1, clips=3)
    out = stack(site, clip=stack.prepare(Clip(1)), **given)
    alone = stack(site, clip=stack.prepare(Clip(1)), **{name: value[1:2] for name, value in given.items()})
    assert out.shape == given["hidden"].shape
    torch.testing.assert_close(out[1:2], alone, rtol=1e-5, atol=1e-5)


@by_site
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_keeps_dtype_and_stays_close(site, dtype):
    stack = trained_stack()
    given = inputs(site, 3)
    clip = clip_with_known_frames(3, window=2)
    exact = stack(site, clip=stack.prepare(clip), **given)
    low = {name: value.to(dtype) for name, value in given.items()}
    stack = stack.to(dtype)
    out = stack(site, clip=stack.prepare(clip, low["hidden"]), **low)
    assert out.dtype == dtype
    error = (out.float() - exact).abs().max() / (exact - given["hidden"]).abs().max()
    assert error < 16 * torch.finfo(dtype).eps


@by_site
def test_runs_under_autocast_and_inference_mode(site):
    stack = trained_stack()
    given = inputs(site, 3)
    clip = clip_with_known_frames(3, window=2)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        out = stack(site, clip=stack.prepare(clip), **given)
    assert out.dtype == torch.float32


@pytest.mark.slow
def test_a_new_stack_trains_from_the_first_step():
    """Zero outputs learn at once, what is behind one of them a step later, behind two after two."""
    stack = new_stack()
    prepared_from = clip_with_known_frames(3)
    names = {name for name, _ in stack.named_parameters()}

    def learning():
        clip = stack.prepare(prepared_from)
        outs = [stack(site, clip=clip, **inputs(site, 3)) for site in SITES]
        sum((out * normal(*out.shape, seed=5)).mean() for out in outs).backward()
        return descend(stack)

    assert learning() >= {name for name in names if re.search(r"\.(conv_out|proj_out|out)\.", name)}
    assert learning() >= {name for name in names if not name.startswith("known_frames")}
    assert learning() == names


def test_known_frames_change_the_result_only_if_some_are_given():
    stack = trained_stack()
    site = site_of("conv", 1)
    given = inputs(site, 3)
    known = clip_with_known_frames(3)
    none_given = clip_with_known_frames(3).known_mask * 0
    unknown = Clip(3, known_latents=known.known_latents, known_mask=none_given)
    with_known, with_unknown, without = (
        stack(site, clip=stack.prepare(clip), **given) for clip in (known, unknown, Clip(3))
    )
    assert torch.equal(with_unknown, without)
    assert (with_known - without).abs().max() > 1e-3


class Operators(TorchDispatchMode):
    """Names of the operators that run inside."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        self.names.add(operator.name())
        return operator(*args, **kwargs or {})


def test_features_of_known_frames_are_resized_only_where_the_image_model_is_shrunk():
    stack = trained_stack()
    clip = stack.prepare(clip_with_known_frames(3))
    with Operators() as usual:
        for site in SITES:
            stack(site, clip=clip, **inputs(site, 3))
    site, shrunk = site_of("conv", 0), inputs(site_of("conv", 0), 3)
    with Operators() as smaller:
        stack(site, clip=clip, **shrunk | {"hidden": shrunk["hidden"][..., :4, :4]})
    assert "aten::_adaptive_avg_pool2d" in smaller.names - usual.names


def test_known_frames_are_refused_by_layers_that_do_not_know_them():
    stack = new_stack(known_frames=False)
    with pytest.raises(IncompatibleModelError, match="not trained on known frames"):
        stack.prepare(clip_with_known_frames(3))


def test_frame_rate_matters_and_may_differ_between_clips():
    stack = trained_stack()
    site = site_of("conv")
    given = inputs(site, 3)
    slow, fast, both = (
        stack(site, clip=stack.prepare(Clip(3, fps=fps)), **given)
        for fps in (2, 30, torch.tensor([2.0, 30.0]))
    )
    assert (slow - fast).abs().max() > 1e-3
    torch.testing.assert_close(both, torch.cat([slow[:3], fast[3:]]), rtol=1e-5, atol=1e-5)


def test_a_stack_without_frame_rate_ignores_it():
    stack = trained_stack(frame_rate=False)
    site = site_of("conv")
    slow, fast = (stack(site, clip=stack.prepare(Clip(3, fps=fps)), **inputs(site, 3)) for fps in (2, 30))
    assert torch.equal(slow, fast)


@pytest.mark.slow
def test_nothing_is_remembered_between_calls():
    stack = trained_stack()
    clip = stack.prepare(clip_with_known_frames(3))
    before = {name: set(vars(module)) for name, module in stack.named_modules()}
    first = [stack(site, clip=clip, **inputs(site, 3)) for site in SITES]
    for site in SITES:
        stack(site, clip=stack.prepare(Clip(5, window=3)), **inputs(site, 5))
    again = [stack(site, clip=clip, **inputs(site, 3)) for site in SITES]
    assert before == {name: set(vars(module)) for name, module in stack.named_modules()}
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
