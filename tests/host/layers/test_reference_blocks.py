"""Temporal layers beside the host's own modules of Stable Video Diffusion.

These come from the authors of Video LDM.

Our weights are copied into the host's `VideoResBlock` and `SpatialVideoTransformer`, whose spatial halves are
switched off, and both get the same frames. Two things differ on purpose and are put into the host's modules:
positions come behind every norm instead of once before the block (so that a new layer is the identity), and
their table also goes round its MLP.

Shapes: b clips, f frames, c channels, h w size, m text tokens, e features.
"""

from __future__ import annotations

import pytest
import torch
from einops import rearrange, repeat
from torch import nn
from video_ldm.temporal.layers.conv import TemporalConv
from video_ldm.temporal.layers.mixing import blend, effective_alpha
from video_ldm.temporal.layers.transformer import TemporalTransformer
from video_ldm.temporal.sampling.clip import Clip

from ...temporal.tiny import normal, sine_init

CHANNELS, HEADS, CONTEXT, EMB = 64, 2, 24, 12
CLIPS, FRAMES, HEIGHT, WIDTH = 2, 5, 3, 4


class PositionsBehind(nn.Module):
    """A norm of the host's temporal block, with our positions of the frames added to what it gives.

    Shape ((b n) f c).
    """

    def __init__(self, norm: nn.Module, positions: nn.Module) -> None:
        super().__init__()
        self.norm, self.positions = norm, positions

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        places = torch.arange(frames.shape[1]) - (frames.shape[1] - 1) / 2
        return self.norm(frames) + self.positions(places, frames.dtype)


class Nothing(nn.Module):
    """In the place of the host's spatial block, or of its own positions."""

    def __init__(self, value: float | None = None) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        return x if self.value is None else torch.full_like(x, self.value)


def copied(theirs: nn.Module, ours: dict[str, torch.Tensor], names: dict[str, str]) -> None:
    """Give every weight of a host module ours; none may be left over on either side."""
    weights = {their: ours[our] for their, our in names.items()}
    theirs.load_state_dict(
        {name: value.reshape(theirs.state_dict()[name].shape) for name, value in weights.items()}
    )


def both(*names: str) -> list[str]:
    return [f"{name}.{kind}" for name in names for kind in ("weight", "bias")]


@pytest.mark.parametrize("on_tokens", [False, True], ids=["attention", "tokens"])
def test_the_temporal_transformer_is_the_hosts(host, on_tokens):
    import comfy.ops
    from comfy.ldm.modules.attention import SpatialVideoTransformer

    ours = sine_init(TemporalTransformer(CHANNELS, HEADS, CONTEXT, nn, positions_on_tokens=on_tokens))
    theirs = SpatialVideoTransformer(
        CHANNELS, HEADS, CHANNELS // HEADS, context_dim=CONTEXT, use_spatial_context=True, ff_in=True,
        use_linear=True, merge_strategy="learned", operations=comfy.ops.disable_weight_init,
        dtype=torch.float32,
    )  # fmt: skip
    block, weights = theirs.time_stack[0], ours.state_dict()
    for attention, name in (("frame_attention", "qkv"), ("text_attention", "kv")):
        parts = weights[f"{attention}.{name}.weight"].chunk(len(name))
        weights |= {f"{attention}.{letter}.weight": part for letter, part in zip(name, parts, strict=True)}
    pairs = {"norm_in": "norm_in", "norm1": "norm_frames", "norm2": "norm_text", "norm3": "norm_out"}
    pairs |= {"ff_in.net.0.proj": "ff_in.proj_in", "ff_in.net.2": "ff_in.proj_out"}
    pairs |= {"ff.net.0.proj": "ff_out.proj_in", "ff.net.2": "ff_out.proj_out"}
    pairs |= {"attn1.to_out.0": "frame_attention.out", "attn2.to_out.0": "text_attention.out"}
    names = dict(zip(both(*pairs), both(*pairs.values()), strict=True))
    for their, our in (("attn1", "frame_attention"), ("attn2", "text_attention")):
        names |= {f"{their}.to_{letter}.weight": f"{our}.{letter}.weight" for letter in "qkv"}
    copied(block, weights, names)
    for norm in ("norm_in", "norm1", "norm2", "norm3") if on_tokens else ("norm1",):
        setattr(block, norm, PositionsBehind(getattr(block, norm), ours.frame_attention.positions))
    theirs.time_pos_embed, theirs.transformer_blocks = Nothing(0.0), nn.ModuleList([Nothing()])
    theirs.norm = theirs.proj_in = theirs.proj_out = Nothing()
    theirs.time_mixer.mix_factor = ours.mix_factor

    hidden = normal(CLIPS * FRAMES, CHANNELS, HEIGHT, WIDTH)
    context = repeat(normal(CLIPS, 6, CONTEXT, seed=2), "b m e -> (b f) m e", f=FRAMES)
    expected = theirs(hidden, context=context, timesteps=FRAMES) - hidden  # their outer residual
    tokens = rearrange(hidden, "n c h w -> n (h w) c")
    out = blend(tokens, ours(tokens, context, Clip(FRAMES)), effective_alpha(ours.mix_factor, None, 1.0))
    torch.testing.assert_close(
        rearrange(out, "n (h w) c -> n c h w", h=HEIGHT), expected, rtol=1e-4, atol=1e-5
    )


def test_the_temporal_convolution_is_the_hosts(host):
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import VideoResBlock

    ours = sine_init(TemporalConv(CHANNELS, EMB, None, nn))
    theirs = VideoResBlock(
        CHANNELS, EMB, 0.0, video_kernel_size=[3, 1, 1], merge_strategy="learned", out_channels=CHANNELS,
        operations=comfy.ops.disable_weight_init, dtype=torch.float32,
    )  # fmt: skip
    pairs = {"in_layers.0": "norm_in", "in_layers.2": "conv_in", "emb_layers.1": "time_embedding"}
    pairs |= {"out_layers.0": "norm_out", "out_layers.3": "conv_out"}
    copied(theirs.time_stack, ours.state_dict(), dict(zip(both(*pairs), both(*pairs.values()), strict=True)))
    for layers in (theirs.in_layers, theirs.out_layers):  # the spatial half adds nothing to its input
        for parameter in layers.parameters():
            nn.init.zeros_(parameter)
    for parameter in theirs.emb_layers.parameters():
        nn.init.zeros_(parameter)
    theirs.time_mixer.mix_factor = ours.mix_factor

    hidden, emb = normal(CLIPS * FRAMES, CHANNELS, HEIGHT, WIDTH), normal(CLIPS * FRAMES, EMB, seed=1)
    expected = theirs(hidden, emb, FRAMES)
    out = blend(hidden, ours(hidden, emb, Clip(FRAMES)), effective_alpha(ours.mix_factor, None, 1.0))
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
