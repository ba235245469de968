"""Slow, obvious versions of the temporal layers, written from Video LDM (section 3.1 and appendix D).

Loops over clips, frames and places instead of reshapes; weights by name from a layer's state dict.
Shapes: b clips, f frames, c channels, h w size, n tokens, m text tokens, e features.
"""

import math

import torch
from torch import Tensor

Weights = dict[str, Tensor]


def mixed(spatial: Tensor, temporal: Tensor, mix_factor: Tensor) -> Tensor:
    """alpha * spatial + (1 - alpha) * temporal."""
    alpha = 1 / (1 + math.exp(-mix_factor.item()))
    return alpha * spatial + (1 - alpha) * temporal


def temporal_conv(weights: Weights, hidden: Tensor, emb: Tensor, known: Tensor | None = None) -> Tensor:
    """Temporal path of a convolution block: hidden (b f c h w), emb (b f e), known features (b f k h w)."""
    x = _silu(_clip_group_norm(hidden, weights["norm_in.weight"], weights["norm_in.bias"]))
    x = _frame_conv(x, weights["conv_in.weight"], weights["conv_in.bias"])
    for b in range(hidden.shape[0]):
        for f in range(hidden.shape[1]):
            x[b, f] += _linear(weights, "time_embedding", _silu(emb[b, f]))[:, None, None]
            if known is not None:
                matrix = weights["known_frames.weight"][:, :, 0, 0]
                x[b, f] += torch.einsum("ck,khw->chw", matrix, known[b, f])
    x = _silu(_clip_group_norm(x, weights["norm_out.weight"], weights["norm_out.bias"]))
    return hidden + _frame_conv(x, weights["conv_out.weight"], weights["conv_out.bias"])


def temporal_transformer(
    weights: Weights,
    tokens: Tensor,
    text: Tensor,
    heads: int,
    positions: list[float],
    on_tokens: bool = False,
) -> Tensor:
    """Temporal path of a transformer.

    Tokens (b f n c), text (b m e), positions relative to the window's centre.

    The attention over frames sees the positions; with `on_tokens` the text attention and both feed-forwards
    do too.
    """
    x = tokens.clone()
    table = torch.stack([_position(weights, position, tokens.shape[-1]) for position in positions])
    shown = table.to(tokens) * on_tokens
    for b in range(tokens.shape[0]):
        for n in range(tokens.shape[2]):
            sequence = x[b, :, n]
            normed = _layer_norm(weights, "norm_in", sequence) + shown
            sequence = sequence + _feed_forward(weights, "ff_in", normed)
            normed = _layer_norm(weights, "norm_frames", sequence)
            sequence = sequence + frame_attention(weights, normed, heads, positions)
            normed = _layer_norm(weights, "norm_text", sequence) + shown
            sequence = sequence + _text_attention(weights, normed, text[b], heads)
            normed = _layer_norm(weights, "norm_out", sequence) + shown
            x[b, :, n] = sequence + _feed_forward(weights, "ff_out", normed)
    return x


def frame_attention(weights: Weights, sequence: Tensor, heads: int, positions: list[float]) -> Tensor:
    """Self-attention of the frames (f c) at one place."""
    table = torch.stack([_position(weights, position, sequence.shape[1]) for position in positions])
    q, k, v = ((sequence + table.to(sequence)) @ weights["frame_attention.qkv.weight"].T).chunk(3, dim=-1)
    return _linear(weights, "frame_attention.out", _attention(q, k, v, heads))


def known_frame_features(weights: Weights, latents: Tensor, mask: list[float]) -> list[Tensor]:
    """Features (f k h w) of known frames by level, from latents (f c h w): unknown frames have none."""
    levels = len(weights) // 2
    features: list[list[Tensor]] = [[] for _ in range(levels)]
    for latent, given in zip(latents, mask, strict=True):
        x = torch.cat([latent * given, torch.full_like(latent[:1], given)])
        for level in range(levels):
            weight, bias = weights[f"levels.{level}.weight"], weights[f"levels.{level}.bias"]
            x = _silu(torch.nn.functional.conv2d(x[None], weight, bias, 1 if level == 0 else 2, 1)[0])
            features[level].append(x * given)
    return [torch.stack(frames) for frames in features]


def image_features(weights: Weights, latent: Tensor, num_frames: int, frame_weight: float) -> list[Tensor]:
    """AnimateLCM-I2V's features (f e h w) by level of one image (c h w), named as in its files.

    Its code: a convolution, sines of the frame's number, two residual blocks per level with the mean of 2 x 2
    between levels.
    """
    levels = sum(name.startswith("body.") and name.endswith("block1.bias") for name in weights) // 2
    features: list[list[Tensor]] = [[] for _ in range(levels)]
    for frame in range(num_frames):
        x = _conv(weights, "conv_in", latent)
        for channel in range(len(x)):
            angle = frame / 10000 ** (channel // 2 * 2 / len(x))
            x[channel] += frame_weight * (math.cos(angle) if channel % 2 else math.sin(angle))
        for block in range(2 * levels):
            if block and block % 2 == 0:
                x = _mean_of_four(x)
            x = _conv(weights, f"body.{block}.in_conv", x) if f"body.{block}.in_conv.bias" in weights else x
            inner = _conv(weights, f"body.{block}.block1", x).clamp(min=0)
            x = x + _conv(weights, f"body.{block}.block2", inner)
            features[block // 2] += [x] if block % 2 else []
    return [torch.stack(frames) for frames in features]


def _conv(weights: Weights, name: str, x: Tensor) -> Tensor:
    weight = weights[f"{name}.weight"]
    return torch.nn.functional.conv2d(
        x[None], weight, weights[f"{name}.bias"], padding=len(weight[0, 0]) // 2
    )[0]


def _mean_of_four(x: Tensor) -> Tensor:
    height, width = x.shape[1:]
    out = torch.zeros(len(x), (height + 1) // 2, (width + 1) // 2)
    for y in range(out.shape[1]):
        for z in range(out.shape[2]):
            places = [(2 * y + i, 2 * z + j) for i in (0, 1) for j in (0, 1)]
            out[:, y, z] = sum(x[:, min(i, height - 1), min(j, width - 1)] for i, j in places) / 4
    return out


def _silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def _linear(weights: Weights, name: str, x: Tensor) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def _clip_group_norm(x: Tensor, weight: Tensor, bias: Tensor, groups: int = 32) -> Tensor:
    out = torch.empty_like(x)
    size = x.shape[2] // groups
    for b in range(x.shape[0]):
        for group in range(groups):
            channels = slice(group * size, (group + 1) * size)
            values = x[b, :, channels]
            mean = values.mean()
            variance = ((values - mean) ** 2).mean()
            normed = (values - mean) / torch.sqrt(variance + 1e-5)
            out[b, :, channels] = normed * weight[channels, None, None] + bias[channels, None, None]
    return out


def _layer_norm(weights: Weights, name: str, x: Tensor) -> Tensor:
    mean = x.mean(-1, keepdim=True)
    variance = ((x - mean) ** 2).mean(-1, keepdim=True)
    return (x - mean) / torch.sqrt(variance + 1e-5) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _frame_conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    out = bias[:, None, None].expand_as(x[:, :, :1, :1, :1].expand(-1, -1, len(bias), *x.shape[3:])).clone()
    num_frames = x.shape[1]
    for frame in range(num_frames):
        for tap in range(3):
            if 0 <= frame + tap - 1 < num_frames:
                out[:, frame] += torch.einsum("oc,bchw->bohw", weight[:, :, tap, 0], x[:, frame + tap - 1])
    return out


def _feed_forward(weights: Weights, name: str, x: Tensor) -> Tensor:
    value, gate = _linear(weights, f"{name}.proj_in", x).chunk(2, dim=-1)
    gelu = gate * (1 + torch.erf(gate / math.sqrt(2))) / 2
    return _linear(weights, f"{name}.proj_out", value * gelu)


def _text_attention(weights: Weights, sequence: Tensor, text: Tensor, heads: int) -> Tensor:
    q = sequence @ weights["text_attention.q.weight"].T
    k, v = (text @ weights["text_attention.kv.weight"].T).chunk(2, dim=-1)
    return _linear(weights, "text_attention.out", _attention(q, k, v, heads))


def _attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    out = torch.zeros_like(q)
    size = q.shape[-1] // heads
    for head in range(heads):
        d = slice(head * size, (head + 1) * size)
        for i in range(len(q)):
            scores = [math.exp(float(q[i, d] @ k[j, d]) / math.sqrt(size)) for j in range(len(k))]
            for j, score in enumerate(scores):
                out[i, d] += score / sum(scores) * v[j, d]
    return out


def _position(weights: Weights, position: float, channels: int) -> Tensor:
    half = channels // 2
    angles = [position / 10000 ** (i / half) for i in range(half)]
    wave = torch.tensor([*map(math.cos, angles), *map(math.sin, angles)]).to(weights["norm_in.weight"])
    hidden = _silu(_linear(weights, "frame_attention.positions.linear_in", wave))
    return wave + _linear(weights, "frame_attention.positions.linear_out", hidden)
