"""LaVie's UNets as plain functions of a file's weights.

The base model, SEINE, the interpolation model, the upscaler.

What a network has is read from its keys; what keys do not tell is said in `Network`. Everything works on (b c
f h w), slowly. Shapes: b clips, f frames, c channels, h w size, n tokens, m text tokens, e features.
"""

import math
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from .reference_lavie import (
    Weights,
    clip_norm,
    conv,
    layer_norm,
    level_module,
    linear,
    over_frames,
    res_block,
    seen_by,
)

LEVELS, DOWN, UP = 4, 2, 3  # resolutions, and ResBlocks of each in either half


@dataclass(frozen=True)
class Network:
    """Facts that the keys of a file do not tell."""

    heads: int
    causal: bool = (
        False  # self-attention sees the first frame and the one before; attention over frames comes last
    )
    cross_levels: tuple[int, ...] = ()  # where self-attention is one to the text


def unet(w: Weights, net: Network, x: Tensor, t: Tensor, text: Tensor, label: Tensor | None = None) -> Tensor:
    """Prediction for noisy clips (b c f h w) at time steps (b,) with texts (b m e).

    Label (b,) of the upscaler's noise level.
    """
    width = w["conv_in.weight"].shape[0] // 2
    angles = t.float()[:, None] * torch.exp(-math.log(10000) * torch.arange(width) / width)
    emb = linear(w, "time_embedding.linear_1", torch.cat([angles.cos(), angles.sin()], -1).to(x))
    emb = linear(w, "time_embedding.linear_2", functional.silu(emb))
    if label is not None:
        emb = emb + w["class_embedding.weight"][label]
    h = conv(w, "conv_in", x)
    skips = [h]
    for level in range(LEVELS):
        for index in range(DOWN):
            h = layer(w, net, f"down_blocks.{level}", index, h, emb, text, level in net.cross_levels)
            skips.append(h)
        if level < LEVELS - 1:
            h = conv(w, f"down_blocks.{level}.downsamplers.0.conv", h, stride=2)
            skips.append(h)
        h = after_level(w, f"down_temporal_blocks.{level}", h, emb)
    h = layer(w, net, "mid_block", 0, h, emb, text, cross=False)
    h = res_block(w, "mid_block.resnets.1", h, emb, 1e-5)
    h = after_level(w, "mid_temporal_block", h, emb)
    for block in range(LEVELS):
        cross = LEVELS - 1 - block in net.cross_levels
        for index in range(UP):
            h = layer(w, net, f"up_blocks.{block}", index, torch.cat([h, skips.pop()], 1), emb, text, cross)
        if block < LEVELS - 1:
            h = functional.interpolate(h, skips[-1].shape[2:], mode="nearest")
            h = conv(w, f"up_blocks.{block}.upsamplers.0.conv", h)
        h = after_level(w, f"up_temporal_blocks.{block}", h, emb)
    return conv(w, "conv_out", functional.silu(clip_norm(w, "conv_norm_out", h, 1e-5)))


def layer(
    w: Weights, net: Network, block: str, index: int, x: Tensor, emb: Tensor, text: Tensor, cross: bool
) -> Tensor:
    """A ResBlock and, where there is one, its transformer."""
    x = res_block(w, f"{block}.resnets.{index}", x, emb, 1e-5)
    name = f"{block}.attentions.{index}"
    return transformer(w, net, name, x, text, cross) if f"{name}.norm.weight" in w else x


def after_level(w: Weights, name: str, x: Tensor, emb: Tensor) -> Tensor:
    """The upscaler's module after a level."""
    return level_module(w, name, x, emb) if f"{name}.shift_conv.weight" in w else x


def transformer(w: Weights, net: Network, name: str, x: Tensor, text: Tensor, cross: bool) -> Tensor:
    """A spatial transformer of one block with what LaVie put before and into it."""
    if f"{name}.resblock_temporal.norm1.weight" in w:
        x = res_block(w, f"{name}.resblock_temporal", x, None, 1e-6)
    scale, shift = w[f"{name}.norm.weight"], w[f"{name}.norm.bias"]
    frames = [functional.group_norm(x[:, :, i], 32, scale, shift, 1e-6) for i in range(x.shape[2])]
    tokens = rearrange(frames, "f b c h w -> b f (h w) c")
    tokens = linear_or_1x1(w, f"{name}.proj_in", tokens)
    tokens = transformer_block(w, net, f"{name}.transformer_blocks.0", tokens, text, cross)
    tokens = linear_or_1x1(w, f"{name}.proj_out", tokens)
    return x + rearrange(tokens, "b f (h w) c -> b c f h w", h=x.shape[3])


def transformer_block(w: Weights, net: Network, name: str, x: Tensor, text: Tensor, cross: bool) -> Tensor:
    """Self-attention, text, attention over frames and feed-forward, in the network's order, on (b f n c)."""
    temporal = "temporal" if f"{name}.norm_temporal.weight" in w else "temp"

    def frames_too(x: Tensor) -> Tensor:
        normed = layer_norm(w, f"{name}.norm_{temporal}", x)
        return x + over_frames(w, f"{name}.attn_{temporal}", normed, net.heads)

    def each_frame(attention: str, normed: Tensor, own: bool) -> Tensor:
        out = torch.empty_like(normed)
        for b, clip in enumerate(normed):
            for i, tokens in enumerate(clip):
                seen = text[b]
                if own:
                    seen = seen_by(clip, i) if net.causal else tokens
                out[b, i] = one_attention(w, f"{name}.{attention}", tokens, seen, net.heads)
        return out

    x = x + each_frame("attn1", layer_norm(w, f"{name}.norm1", x), own=not cross)
    x = x + each_frame("attn2", layer_norm(w, f"{name}.norm2", x), own=False)
    if not net.causal:
        x = frames_too(x)
    value, gate = linear(w, f"{name}.ff.net.0.proj", layer_norm(w, f"{name}.norm3", x)).chunk(2, -1)
    x = x + linear(w, f"{name}.ff.net.2", value * functional.gelu(gate))
    return frames_too(x) if net.causal else x


def one_attention(w: Weights, name: str, tokens: Tensor, seen: Tensor, heads: int) -> Tensor:
    """Attention of one frame's tokens (n c) to others (m e)."""
    q, k, v = (linear(w, f"{name}.to_{x}", y) for x, y in (("q", tokens), ("k", seen), ("v", seen)))
    q, k, v = (rearrange(x, "n (heads d) -> heads n d", heads=heads) for x in (q, k, v))
    probabilities = (q @ k.mT / math.sqrt(q.shape[-1])).softmax(-1)
    return linear(w, f"{name}.to_out.0", rearrange(probabilities @ v, "heads n d -> n (heads d)"))


def linear_or_1x1(w: Weights, name: str, x: Tensor) -> Tensor:
    """A projection of tokens, published as a linear layer or as a convolution of one place."""
    weight = w[f"{name}.weight"]
    return x @ weight.reshape(weight.shape[:2]).T + w[f"{name}.bias"]
