"""Slow, obvious versions of LaVie's layers, written from a description of its networks.

Weights as its files name them.

Loops over clips, frames and places. Shapes: b clips, f frames, c channels, h w size, n tokens, e features.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

ROTATED, THETA = 32, 10000.0
Weights = Mapping[str, Tensor]


def bucket(offset: int) -> int:
    """Row of the relative bias for a key `offset` frames after the query.

    8 exact distances, then logarithmic to 32.
    """
    distance = abs(offset)
    row = distance if distance < 8 else min(15, 8 + int(8 * math.log(distance / 8) / math.log(4) + 1e-6))
    return row + (16 if offset > 0 else 0)


def rotate(x: Tensor, position: float) -> Tensor:
    """A frame's queries or keys (... d) per head.

    Pairs of neighbouring channels turn, as points of the complex plane.
    """
    turning = torch.view_as_complex(x[..., :ROTATED].unflatten(-1, (-1, 2)).contiguous())
    pairs = turning.shape[-1]
    turns = torch.tensor([position / THETA ** (pair / pairs) for pair in range(pairs)])
    turned = turning * torch.polar(torch.ones(pairs), turns).to(turning)
    return torch.cat([torch.view_as_real(turned).flatten(-2), x[..., ROTATED:]], -1)


def over_frames(w: Weights, name: str, tokens: Tensor, heads: int) -> Tensor:
    """Attention over the frames at each place, tokens (b f n c) already normed.

    Positions where a bias is in the weights.
    """
    # by frame: (b n heads d)
    q, k, v = ((tokens @ w[f"{name}.to_{x}.weight"].T).unflatten(-1, (heads, -1)).unbind(1) for x in "qkv")
    bias = w.get(f"{name}.time_rel_pos_bias.relative_attention_bias.weight")
    out = []
    for i, query in enumerate(q):
        scores = []
        for j, key in enumerate(k):
            pair = (query, key) if bias is None else (rotate(query, i), rotate(key, j))
            score = (pair[0] * pair[1]).sum(-1) / math.sqrt(query.shape[-1])
            scores.append(score if bias is None else score + bias[bucket(j - i)])
        weights = torch.stack(scores).softmax(0)
        out.append(sum(weight[..., None] * value for weight, value in zip(weights, v, strict=True)))
    return linear(w, f"{name}.to_out.0", torch.stack(out, 1).flatten(-2))


def seen_by(frames: Tensor, index: int) -> Tensor:
    """Tokens (f n c) that frame `index` attends to in the interpolation model.

    Of the first frame and of the one before.
    """
    return torch.cat([frames[0], frames[max(index - 1, 0)]])


def clip_norm(w: Weights, name: str, x: Tensor, eps: float) -> Tensor:
    """Group norm of (b c f h w): one mean and variance of a group over the whole clip."""
    out = torch.empty_like(x)
    size = x.shape[1] // 32
    for clip in range(len(x)):
        for group in range(32):
            channels = slice(group * size, (group + 1) * size)
            values = x[clip, channels]
            normed = (values - values.mean()) / torch.sqrt(values.var(correction=0) + eps)
            scale, shift = (w[f"{name}.{leaf}"][channels, None, None, None] for leaf in ("weight", "bias"))
            out[clip, channels] = normed * scale + shift
    return out


def conv(w: Weights, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """Convolution of a clip (b c f h w): of three axes as the weight says, or of each frame."""
    weight, bias = w[f"{name}.weight"], w[f"{name}.bias"]
    if weight.ndim == 5:
        return functional.conv3d(x, weight, bias, padding=(weight.shape[2] // 2, 0, 0))
    frames = [
        functional.conv2d(x[:, :, i], weight, bias, stride, weight.shape[-1] // 2) for i in range(x.shape[2])
    ]
    return torch.stack(frames, 2)


def res_block(w: Weights, name: str, x: Tensor, emb: Tensor | None, eps: float) -> Tensor:
    """Norm, SiLU, convolution, twice, on (b c f h w); the time embedding (b e) between, if any."""
    y = conv(w, f"{name}.conv1", functional.silu(clip_norm(w, f"{name}.norm1", x, eps)))
    if emb is not None:
        y = y + linear(w, f"{name}.time_emb_proj", functional.silu(emb))[:, :, None, None, None]
    y = conv(w, f"{name}.conv2", functional.silu(clip_norm(w, f"{name}.norm2", y, eps)))
    shortcut = f"{name}.conv_shortcut"
    return y + (conv(w, shortcut, x) if f"{shortcut}.weight" in w else x)


def level_module(w: Weights, name: str, x: Tensor, emb: Tensor) -> Tensor:
    """Convolutions along the frames, then of each frame, then 1x1, added to (b c f h w)."""
    y = res_block(w, f"{name}.resblocks_3d_t", x, emb, 1e-6)
    y = res_block(w, f"{name}.resblocks_3d_s", y, emb, 1e-6)
    return x + conv(w, f"{name}.shift_conv", y)


def linear(w: Weights, name: str, x: Tensor) -> Tensor:
    """A linear layer, with a bias where the weights have one."""
    out = x @ w[f"{name}.weight"].T
    return out + w[f"{name}.bias"] if f"{name}.bias" in w else out


def layer_norm(w: Weights, name: str, x: Tensor) -> Tensor:
    """Layer norm over the channels."""
    return functional.layer_norm(x, x.shape[-1:], w[f"{name}.weight"], w[f"{name}.bias"], 1e-5)
