"""Blocks computed twice, for every kind of place that temporal layers have in the host's UNet."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import pytest
import torch
from video_ldm.temporal.layers.inside import InsideConfig
from video_ldm.temporal.layers.lvdm import LvdmConfig
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.layers.picture import PictureConfig
from video_ldm.temporal.sampling.clip import Clip
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.training.memory.recompute import recomputed
from video_ldm.tests.temporal.tiny import sine_init

from .test_command import CHECKPOINT

TOY_LAYERS = CHECKPOINT.with_name("toy_temporal.safetensors")
FRAMES = 2
PICTURE = PictureConfig(features=12, tokens=4, width=64, heads=1, depth=1)
LAYERS = {
    "Video LDM": {"known_frames": True, "frame_rate": True, "positions": "tokens"},
    "AnimateDiff v1": {"motion": MotionConfig(True, True, True)},
    "ModelScope": {"lvdm": LvdmConfig(convs=True, frame_rate=True, reach=4)},
    "VideoCrafter with a picture": {"lvdm": LvdmConfig(convs=True, frame_rate=False, picture=PICTURE)},
    "LaVie": {"inside": InsideConfig(positions=True, last=False, causal=False, volume=False)},
    "LaVie's upscaler": {"inside": InsideConfig(positions=False, last=True, causal=True, volume=True)},
}


@pytest.fixture(scope="module")
def unet(host):
    from video_ldm.nodes.host.training import models as training

    return training.load_checkpoint(str(CHECKPOINT)).frozen_unet()


@pytest.mark.parametrize("family", LAYERS)
def test_gradients_are_those_of_blocks_computed_once_to_the_last_bit(unet, family):
    from video_ldm.nodes.host.training import unet as training
    from video_ldm.temporal.formats import load_stack

    shape = load_stack(TOY_LAYERS, device="meta").config.unet
    if "lvdm" in LAYERS[family]:  # whose heads are counted by their channels
        shape = replace(shape, num_heads=-1, num_head_channels=16)
    given = {"known_frames": False, "frame_rate": False, **LAYERS[family]}
    stack = sine_init(TemporalStack(StackConfig(shape, "toy", 8, **given)), 0.05)
    torch.manual_seed(0)
    noisy, text = torch.randn(FRAMES, 4, 8, 8), torch.randn(1, 5, shape.context_dim)
    known = {"known_latents": noisy, "known_mask": torch.ones(FRAMES)} if stack.known_frames else {}
    picture = torch.randn(1, 6, 12) if stack.picture else None

    def gradients() -> dict[str, torch.Tensor]:
        kept = ExitStack()
        denoise = training.denoiser(unet, kept=kept)
        stack.zero_grad()
        with kept:
            clip = stack.prepare(Clip(FRAMES, picture=picture, **known))
            out = denoise(noisy, torch.full((FRAMES,), 300), text, stack, clip)
            out.square().mean().backward()
        return {name: p.grad.clone() for name, p in stack.named_parameters() if p.grad is not None}

    once = gradients()
    with recomputed(training.blocks_of(unet, stack)):
        twice = gradients()
    assert once.keys() == twice.keys() and len(once) > 10
    assert all(torch.equal(value, twice[name]) for name, value in once.items())
    assert any(value.abs().max() > 0 for value in once.values())
    assert not any(m._forward_hooks or m._forward_pre_hooks or "forward" in vars(m) for m in unet.modules())
