"""The pack on a host that is newer than all tested ones.

It looks once, says so, and refuses where layers go wrong.
"""

from __future__ import annotations

import time
from contextlib import nullcontext

import pytest
import torch

CPU_SECONDS = 3.0  # of one thread, the best of three; 0.2 where nothing else runs (benchmarks/RESULTS.md)


@pytest.fixture
def newer(host, monkeypatch):
    """The module under test, on a host that calls itself newer, as if nobody had asked yet."""
    from video_ldm.nodes.host.layers import self_test

    monkeypatch.setattr(self_test, "host_version", lambda: "0.99.1")
    self_test.verdict.cache_clear()
    yield self_test
    self_test.verdict.cache_clear()


def load(rig) -> str:
    """The report of Load Temporal Layers on the toy model."""
    from video_ldm.nodes.load import LoadTemporalLayers

    return LoadTemporalLayers.execute(rig.model, "toy_temporal.safetensors", 1.0).result[1]


OLD = ("0.3.75", "0.26.0", "0.26", "0.9.9")
NEW = ("0.26.1", "0.36.0", "1.0.0", "0.27.0-rc1", "nightly")


@pytest.mark.parametrize(
    ("version", "newer"), [*((version, False) for version in OLD), *((version, True) for version in NEW)]
)
def test_versions_are_compared_by_their_numbers(host, version, newer):
    from video_ldm.nodes.host.layers.versions import is_newer_than_tested

    assert is_newer_than_tested(version) is newer


def test_a_tested_host_is_not_looked_at(rig, monkeypatch):
    from video_ldm.nodes.host.layers import self_test
    from video_ldm.nodes.host.layers.versions import TESTED

    monkeypatch.setattr(self_test, "host_version", lambda: TESTED[-1])
    monkeypatch.setattr(self_test, "verdict", None)
    assert "Host:" not in load(rig)


def test_a_newer_one_that_works_is_named_in_the_report(newer, rig):
    line = (
        "Host: ComfyUI 0.99.1 is newer than 0.26.0, the newest tested version; a check of temporal "
        "layers passed"
    )
    assert load(rig).splitlines()[-1] == line


def test_it_looks_once_and_leaves_nothing_behind(newer, rig, monkeypatch):
    import comfy.model_management as mm

    state, loaded = torch.get_rng_state(), list(mm.current_loaded_models)
    assert newer.verdict() is None
    assert torch.equal(torch.get_rng_state(), state)
    assert mm.current_loaded_models == loaded
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    monkeypatch.setattr(newer, "TinyRig", None)
    assert newer.check_host() == newer.check_host()


def test_it_is_quick(newer):
    def seconds() -> float:
        newer.verdict.cache_clear()
        started = time.thread_time()
        newer.verdict()
        return time.thread_time() - started

    assert min(seconds() for _ in range(3)) < CPU_SECONDS


def broken_zero(monkeypatch):
    """Hosts whose hooks change what they see."""
    from video_ldm.temporal.stack.stack import TemporalStack

    forward = TemporalStack.forward
    monkeypatch.setattr(TemporalStack, "forward", lambda *args, **kwargs: forward(*args, **kwargs) + 1e-6)


def broken_one(monkeypatch):
    """Hosts whose blocks are not called any more."""
    from video_ldm.nodes.host.layers import insertion

    monkeypatch.setattr(insertion, "inserted", lambda *_: nullcontext())


def broken_chunks(monkeypatch):
    """Hosts that say otherwise which chunks there are."""
    from comfy.model_base import BaseModel

    inner = BaseModel.apply_model

    def apply_model(self, *args, transformer_options, **kwargs):
        options = {key: value for key, value in transformer_options.items() if key != "cond_or_uncond"}
        return inner(self, *args, transformer_options=options, **kwargs)

    monkeypatch.setattr(BaseModel, "apply_model", apply_model)


def broken_frames(monkeypatch):
    """Hosts that send frames one by one."""
    from comfy.model_base import BaseModel

    inner = BaseModel.apply_model

    def apply_model(self, *args, transformer_options, **kwargs):
        options = {**transformer_options, "cond_or_uncond": [0, 0, 1, 1]}
        return inner(self, *args, transformer_options=options, **kwargs)

    monkeypatch.setattr(BaseModel, "apply_model", apply_model)


def broken_removal(monkeypatch):
    """Hosts on which hooks stay."""
    from torch.utils.hooks import RemovableHandle

    monkeypatch.setattr(RemovableHandle, "remove", lambda _: None)


def broken_interface(monkeypatch):
    """Hosts without an interface that was there."""
    from comfy.model_patcher import ModelPatcher

    monkeypatch.delattr(ModelPatcher, "set_additional_models")


BROKEN = {
    broken_zero: "layers of strength 0 changed the image model",
    broken_one: "layers of strength 1 changed nothing",
    broken_chunks: "prompt and negative prompt were mixed",
    broken_frames: "frames did not see each other",
    broken_removal: "something was left behind in the image model",
    broken_interface: r"AttributeError was raised \(.*set_additional_models.*\)",
}


@pytest.mark.parametrize("change", BROKEN, ids=lambda change: change.__name__)
def test_a_host_on_which_layers_go_wrong_is_refused(newer, rig, monkeypatch, change):
    from video_ldm.temporal.errors import IncompatibleModelError

    change(monkeypatch)
    said = rf"cannot be used on ComfyUI 0\.99\.1: in a check of this pack on it, ({BROKEN[change]})\. Update"
    for _ in range(2):  # and not only the first time
        with pytest.raises(IncompatibleModelError, match=said):
            load(rig)


def layers_command(words: list[str]) -> None:
    from video_ldm.training.layers import options as layers
    from video_ldm.training.layers import running as run_layers

    args = layers.parser().parse_args(words)
    run_layers.run(args, layers.config_from(args))


def lora_command(words: list[str]) -> None:
    from video_ldm.training.layers import options as layers
    from video_ldm.training.lora import options as lora
    from video_ldm.training.lora import running as run_lora

    args = lora.parser().parse_args([*words, "--layers", "gone.safetensors"])
    run_lora.run(args, layers.config_from(args), lora.lora_from(args))


@pytest.mark.parametrize("command", [layers_command, lora_command])
def test_training_is_refused_there_too_before_anything_is_read(newer, tmp_path, monkeypatch, command):
    """It would learn from layers that are not called."""
    from video_ldm.temporal.errors import IncompatibleModelError

    words = ["--checkpoint", "gone.safetensors", "--clips", "gone", "--out", str(tmp_path / "o.safetensors")]
    broken_one(monkeypatch)
    with pytest.raises(IncompatibleModelError, match=r"cannot be used on ComfyUI 0\.99\.1"):
        command(words)
