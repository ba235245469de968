"""Temporal layers in the host's MODEL: identity, isolation, clean-up, and company of other nodes."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="module")
def base(rig):
    return rig.sample(rig.model)


@pytest.fixture(scope="module")
def video_model(rig):
    return rig.with_layers()


@pytest.fixture(autouse=True)
def image_model_is_untouched(rig, base):
    """After every test, whatever it did, the image model gives the same bits and holds no hook."""
    yield
    assert rig.hooks_left() == 0
    assert torch.equal(rig.sample(rig.model), base)
    assert not any("video_ldm" in key for key in rig.model.model.state_dict())


class Boom(RuntimeError):
    pass


def raising_after(calls: int, error: Exception):
    """A second pack's DIFFUSION_MODEL wrapper that fails after some calls."""
    count = iter(range(calls))

    def wrapper(executor, *args, **kwargs):
        if next(count, None) is None:
            raise error
        return executor(*args, **kwargs)

    return wrapper


def test_fresh_layers_are_exactly_the_image_model(rig, base):
    assert torch.equal(rig.sample(rig.with_layers(patcher=rig.stack(scale=0))), base)


@pytest.mark.parametrize(
    "settings", [{"strength": 0.0}, {"alphas": {"input": 1.0, "middle": 1.0, "output": 1.0}}]
)
def test_off_is_exactly_the_image_model(rig, base, settings):
    assert torch.equal(rig.sample(rig.with_layers(**settings)), base)


def test_layers_change_the_clip_and_alpha_by_section_counts(rig, base, video_model):
    on = rig.sample(video_model)
    partly = rig.sample(rig.with_layers(alphas={"output": 1.0}))
    assert not torch.equal(on, base)
    assert not torch.equal(partly, on) and not torch.equal(partly, base)


def test_settings_and_layers_survive_clones(rig, video_model):
    assert torch.equal(rig.sample(video_model.clone().clone()), rig.sample(video_model))


def test_clones_do_not_share_settings(rig, base, video_model):
    on = rig.sample(video_model)
    weaker = rig.with_layers(strength=0.5)
    assert not torch.equal(rig.sample(weaker), on)
    assert torch.equal(rig.sample(video_model), on)
    assert torch.equal(rig.sample(rig.model), base)


def test_a_dying_clone_takes_nothing_with_it(rig, video_model):
    import gc

    on = rig.sample(video_model)
    transient = video_model.clone()
    rig.sample(transient)
    del transient
    gc.collect()
    assert torch.equal(rig.sample(video_model), on)


def test_two_files_of_layers_both_act(rig, video_model):
    both = rig.with_layers(model=video_model)
    assert not torch.equal(rig.sample(both), rig.sample(video_model))


@pytest.mark.parametrize("call", [0, 1, 2])
def test_an_exception_at_any_step_leaves_nothing(rig, video_model, call):
    from comfy.patcher_extension import WrappersMP

    on = rig.sample(video_model)
    failing = video_model.clone()
    failing.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "other", raising_after(call, Boom()))
    with pytest.raises(Boom):
        rig.sample(failing)
    assert rig.hooks_left() == 0
    assert torch.equal(rig.sample(video_model), on)


@pytest.mark.parametrize("call", [0, 1, 2])
def test_an_interrupt_at_any_step_leaves_nothing(rig, video_model, call):
    """The user's Cancel sets the host's flag.

    The next host operation raises, here in the middle of the UNet.
    """
    import comfy.model_management as mm
    from comfy.patcher_extension import WrappersMP

    steps = iter(range(call))

    def cancel(executor, *args, **kwargs):
        if next(steps, None) is None:
            mm.interrupt_current_processing()
        return executor(*args, **kwargs)

    interrupted = video_model.clone()
    interrupted.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "other", cancel)
    with pytest.raises(mm.InterruptProcessingException):
        rig.sample(interrupted)
    assert rig.hooks_left() == 0


def test_an_exception_inside_a_block_leaves_nothing(rig, video_model):
    def fail(*_):
        raise Boom

    handle = rig.model.model.diffusion_model.middle_block[1].register_forward_pre_hook(fail)
    try:
        with pytest.raises(Boom):
            rig.sample(video_model)
    finally:
        handle.remove()


def test_conditional_and_unconditional_never_mix(rig, video_model):
    """cfg 1 drops the negative prompt: what the positive prompt gives must not depend on it."""
    assert torch.equal(
        rig.sample(video_model, cfg=1.0, negative=rig.encode("a blue square")),
        rig.sample(video_model, cfg=1.0),
    )


def test_split_by_memory_pressure_gives_the_same_clip(rig, video_model, monkeypatch):
    import comfy.model_management as mm
    from comfy.patcher_extension import WrappersMP

    chunks = []

    def record(executor, x, t, context=None, y=None, control=None, transformer_options=None, **kwargs):
        chunks.append(len(transformer_options["cond_or_uncond"]))
        return executor(x, t, context, y, control, transformer_options, **kwargs)

    recorded = video_model.clone()
    recorded.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, "record", record)
    together = rig.sample(recorded)
    assert set(chunks) == {2}
    chunks.clear()

    def little_memory(device=None, torch_free_too=False):
        return (1e6, 1e6) if torch_free_too else 1e6

    monkeypatch.setattr(mm, "get_free_memory", little_memory)
    apart = rig.sample(recorded)
    assert set(chunks) == {1}
    torch.testing.assert_close(apart, together, rtol=1e-4, atol=1e-4 * together.abs().max().item())


def test_a_lora_on_the_image_model_acts_before_or_after(rig, video_model):

    torch.manual_seed(0)
    name = "lora_unet_middle_block_1_transformer_blocks_0_attn1_to_q"
    lora = {f"{name}.lora_up.weight": torch.randn(128, 2), f"{name}.lora_down.weight": torch.randn(2, 128)}
    key = {name: "diffusion_model.middle_block.1.transformer_blocks.0.attn1.to_q.weight"}

    def apply(model):
        import comfy.lora

        patched = model.clone()
        assert patched.add_patches(comfy.lora.load_lora(lora, key), 1.0)
        return patched

    before, after = rig.with_layers(model=apply(rig.model)), apply(video_model)
    assert torch.equal(rig.sample(before), rig.sample(after))
    assert not torch.equal(rig.sample(after), rig.sample(video_model))
    fresh = rig.with_layers(model=apply(rig.model), patcher=rig.stack(scale=0))
    assert torch.equal(rig.sample(fresh), rig.sample(apply(rig.model)))


def test_a_controlnet_works_beside_the_layers(rig, video_model):
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops

    import nodes

    torch.manual_seed(0)
    unet = rig.model.model.model_config.unet_config
    config = {k: v for k, v in unet.items() if k not in ("out_channels", "transformer_depth_output")}
    net = comfy.cldm.cldm.ControlNet(hint_channels=3, operations=comfy.ops.manual_cast, **config)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    control = comfy.controlnet.ControlNet(net, manual_cast_dtype=None)
    image = torch.rand(LATENT_FRAMES, 80, 48, 3)
    with torch.inference_mode():
        positive, negative = nodes.ControlNetApplyAdvanced().apply_controlnet(
            rig.positive, rig.negative, control, image, 1.0, 0.0, 1.0
        )
    conds = {"positive": positive, "negative": negative}
    controlled = rig.sample(rig.model, **conds)
    fresh = rig.with_layers(patcher=rig.stack(scale=0))
    assert torch.equal(rig.sample(fresh, **conds), controlled)
    assert not torch.equal(rig.sample(video_model, **conds), controlled)
    assert not torch.equal(rig.sample(video_model, **conds), rig.sample(video_model))


LATENT_FRAMES = 5


def test_freeu_works_beside_the_layers(rig, video_model):
    import nodes

    freeu = nodes.NODE_CLASS_MAPPINGS["FreeU_V2"]()
    base = freeu.patch(rig.model, 1.3, 1.4, 0.9, 0.2)[0]
    assert torch.equal(
        rig.sample(freeu.patch(rig.with_layers(patcher=rig.stack(scale=0)), 1.3, 1.4, 0.9, 0.2)[0]),
        rig.sample(base),
    )
    before, after = rig.with_layers(model=base), freeu.patch(video_model, 1.3, 1.4, 0.9, 0.2)[0]
    assert torch.equal(rig.sample(before), rig.sample(after))
    assert not torch.equal(rig.sample(after), rig.sample(video_model))


def test_model_merging_keeps_the_layers(rig, video_model):
    import nodes

    other = rig.model.clone()
    other.add_patches({"diffusion_model.out.2.bias": (torch.ones(4),)}, 1.0)
    merged = nodes.NODE_CLASS_MAPPINGS["ModelMergeSimple"]().merge(video_model, other, 0.5)[0]
    assert not torch.equal(rig.sample(merged), rig.sample(video_model))
    plain = nodes.NODE_CLASS_MAPPINGS["ModelMergeSimple"]().merge(rig.model, other, 0.5)[0]
    assert torch.equal(rig.sample(rig.with_layers(model=plain)), rig.sample(merged))


def test_another_packs_wrappers_run_too(rig, video_model):
    from comfy.patcher_extension import WrappersMP

    calls = []

    def count(executor, *args, **kwargs):
        calls.append(kwargs)
        return executor(*args, **kwargs)

    together = video_model.clone()
    for kind in (WrappersMP.APPLY_MODEL, WrappersMP.DIFFUSION_MODEL, WrappersMP.OUTER_SAMPLE):
        together.add_wrapper_with_key(kind, "other", count)
    assert torch.equal(rig.sample(together), rig.sample(video_model))
    assert len(calls) == 2 * 3 + 1


def test_the_host_counts_weights_and_activations(rig, video_model, monkeypatch):
    import comfy.model_management as mm
    from video_ldm.nodes.host.layers.insertion import ACTIVATION_FACTOR
    from video_ldm.temporal.stack.stack import TemporalStack

    asked = []
    load = mm.load_models_gpu

    def record(models, memory_required=0, **kwargs):
        asked.append(memory_required)
        return load(models, memory_required=memory_required, **kwargs)

    monkeypatch.setattr(mm, "load_models_gpu", record)
    factor = rig.model.model.memory_usage_factor
    for model in (rig.model, video_model, video_model):
        rig.sample(model)
    image, *video = asked
    assert video == pytest.approx([image * ACTIVATION_FACTOR] * 2, rel=0.1)
    assert any(type(patcher.model).__name__ == TemporalStack.__name__ for patcher in mm.loaded_models())
    rig.sample(rig.model)
    assert rig.model.model.memory_usage_factor == factor


def test_the_batching_test_of_the_host_sees_our_activations(rig, video_model):
    from comfy.patcher_extension import WrappersMP
    from video_ldm.nodes.host.layers.insertion import ACTIVATION_FACTOR

    seen = []

    def record(executor, model, *args, **kwargs):
        seen.append(model.memory_usage_factor)
        return executor(model, *args, **kwargs)

    recorded = video_model.clone()
    recorded.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, "record", record)
    rig.sample(recorded)
    rig.sample(rig.model)
    assert seen == pytest.approx([rig.model.model.memory_usage_factor * ACTIVATION_FACTOR] * 3)


def test_partly_loaded_layers_give_the_same_clip(rig):
    """Low VRAM: only some of the weights are on the compute device, the rest is cast when used."""
    patcher = rig.stack()
    model = rig.with_layers(patcher=patcher)
    whole = rig.sample(model)
    mine = model.get_additional_models_with_key("video_ldm")[0]
    mine.detach()
    mine.partially_load(torch.device("cpu"), extra_memory=mine.model_size() // 3)
    assert mine.model.model_lowvram and 0 < mine.loaded_size() < mine.model_size()
    assert torch.equal(rig.sample(model), whole)


def test_layers_for_another_model_are_refused(rig):
    from video_ldm.temporal.errors import IncompatibleModelError
    from video_ldm.temporal.stack.plan import SDXL
    from video_ldm.temporal.stack.stack import StackConfig

    class Patcher:
        class model:
            config = StackConfig(unet=SDXL, base="SDXL", max_frames=16, known_frames=False, frame_rate=False)

    with pytest.raises(
        IncompatibleModelError, match=r"made for SDXL .*text width 2048.*text width 48.*Load a SDXL"
    ):
        rig.with_layers(patcher=Patcher)


def test_too_many_frames_are_refused(rig, video_model):
    from video_ldm.temporal.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match=r"17 frames; .* at most 16. Make it shorter"):
        rig.sample(video_model, latent={"samples": torch.zeros(17, 4, 4, 4)})


def test_a_latent_with_wrong_channels_is_refused(rig, video_model):
    from video_ldm.temporal.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match=r"shape \(5, 16, 4, 4\).*\(frames, 4, height, width\)"):
        rig.sample(video_model, latent={"samples": torch.ones(5, 16, 4, 4)})


def test_a_single_frame_is_sampled(rig, video_model):
    assert rig.sample(video_model, latent={"samples": torch.zeros(1, 4, 5, 7)}).shape == (1, 4, 5, 7)
