"""Compiled blocks train as plain ones do, with the temporal layers between them."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

UNET = {
    "image_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 32,
    "num_res_blocks": [1],
    "channel_mult": [1],
    "transformer_depth": [1],
    "transformer_depth_output": [0, 0],
    "transformer_depth_middle": -1,
    "num_heads": 2,
    "context_dim": 6,
}


def gradients(compiled: bool) -> tuple[Tensor, dict[str, Tensor]]:
    """A prediction of a tiny UNet and the gradients of its layers, with or without compiled blocks."""
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.ops import manual_cast
    from video_ldm.nodes.host.training import unet as training
    from video_ldm.temporal.sampling.clip import Clip
    from video_ldm.temporal.stack.plan import UNetShape
    from video_ldm.temporal.stack.stack import StackConfig, TemporalStack

    torch.manual_seed(0)
    copies = {key: value[:] if isinstance(value, list) else value for key, value in UNET.items()}
    unet = UNetModel(
        **copies, use_spatial_transformer=True, legacy=False, dtype=torch.float32, operations=manual_cast
    ).requires_grad_(False)
    stack = TemporalStack(StackConfig(UNetShape.from_config(UNET), "tiny", 4, False, frame_rate=True))
    for parameter in (*unet.parameters(), *stack.parameters()):
        torch.nn.init.normal_(parameter, std=0.1)
    noisy, text = torch.randn(3, 4, 8, 8), torch.randn(1, 5, 6)
    if compiled:
        training.compile_blocks(unet, stack)
    made = training.denoiser(unet)(noisy, torch.full((3,), 500), text, stack, stack.prepare(Clip(3)))
    made.square().mean().backward()
    return made.detach(), {name: p.grad for name, p in stack.named_parameters() if p.grad is not None}


def test_compiled_blocks_are_the_plain_ones(host, monkeypatch):
    """Traced and differentiated as the compiler does it, and run by PyTorch.

    Its code generator is not what is tested.
    """
    traced, compile_for_pytorch = [], functools.partial(torch.compile, backend="aot_eager")

    def compile_and_note(function):
        traced.append(function)
        return compile_for_pytorch(function)

    monkeypatch.setattr(torch, "compile", compile_and_note)
    plain, expected = gradients(compiled=False)
    made, found = gradients(compiled=True)
    assert len(traced) > 6 and expected.keys() == found.keys()
    torch.testing.assert_close(made, plain, rtol=1e-3, atol=1e-4)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-2, atol=1e-5, msg=name)
