"""Motion modules against the same computed slowly, and motion as a number."""

import pytest
import torch
from einops import rearrange
from torch import nn
from torch.nn import functional
from video_ldm.temporal.layers.attention import FrameAttention
from video_ldm.temporal.layers.motion import MotionModule
from video_ldm.temporal.sampling.clip import Clip

from ..tiny import normal, sine_init

CHANNELS, FRAMES = 32, 3


def group_norm(layer: nn.GroupNorm, x: torch.Tensor, over_clip: bool) -> torch.Tensor:
    """Statistics of (h w) of a frame, or of (f h w) of a clip, by channel: there are 32 groups of one."""
    clips = rearrange(x, "(b f) c h w -> b f c h w", f=FRAMES)
    axes = (1, 3, 4) if over_clip else (3, 4)
    normed = (clips - clips.mean(axes, keepdim=True)) / (
        clips.var(axes, unbiased=False, keepdim=True) + 1e-6
    ).sqrt()
    scale, shift = (weight[:, None, None] for weight in (layer.weight, layer.bias))
    return rearrange(normed * scale + shift, "b f c h w -> (b f) c h w")


@pytest.mark.parametrize("over_clip", [True, False])
def test_equals_the_reference(over_clip):
    module = sine_init(MotionModule(CHANNELS, over_clip, nn))
    hidden = 3 * normal(2 * FRAMES, CHANNELS, 5, 2)
    hidden[0] += 4  # one frame of another brightness, which only norms over the clip keep
    x = rearrange(group_norm(module.norm, hidden, over_clip), "(b f) c h w -> (b h w) f c", f=FRAMES)
    x = module.proj_in(x)
    for norm, attention in zip(module.norms, module.attentions, strict=True):
        x = x + attention.over_frames(norm(x), Clip(FRAMES))
    x = module.proj_out(x + module.ff(module.norm_out(x)))
    expected = hidden + rearrange(x, "(b h w) f c -> (b f) c h w", h=5, w=2)
    torch.testing.assert_close(module(hidden, Clip(FRAMES)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("motion", [1.0, 1.7, torch.full((FRAMES, 1, 1), 1.7)])
def test_motion_scales_the_keys(motion):
    layer, x = sine_init(FrameAttention(CHANNELS, 1, None, nn)), 3 * normal(4, FRAMES, CHANNELS)
    q, k, v = layer.qkv(x).chunk(3, -1)
    scale = float(torch.as_tensor(motion).max())
    expected = layer.out(functional.scaled_dot_product_attention(q, scale * k, v))
    torch.testing.assert_close(layer.over_frames(x, Clip(FRAMES, key_scale=motion)), expected)
