"""Slow, obvious versions of a picture as a prompt, under the weights' names in VideoCrafter 1.

One token and one head after the other. Shapes: m tokens of the picture, p patches, w width, e channels of the
text, n places.
"""

import torch
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]
PROJECTOR_HEAD = 64


def projected(weights: Weights, features: Tensor) -> Tensor:
    """Tokens (m e) from the features (p g) of an image encoder; names below `image_proj_model`."""
    patches = features @ weights["proj_in.weight"].T + weights["proj_in.bias"]
    tokens = weights["latents"][0].clone()
    depth = 1 + max(int(key.split(".")[1]) for key in weights if key.startswith("layers."))
    for i in range(depth):
        attn, feed = f"layers.{i}.0", f"layers.{i}.1"
        asking = _norm(weights, f"{attn}.norm2", tokens)
        seen = torch.cat([_norm(weights, f"{attn}.norm1", patches), asking])
        both = seen @ weights[f"{attn}.to_kv.weight"].T
        half = both.shape[1] // 2
        q = asking @ weights[f"{attn}.to_q.weight"].T
        out = attended(q, both[:, :half], both[:, half:], PROJECTOR_HEAD)
        tokens = tokens + out @ weights[f"{attn}.to_out.weight"].T
        inner = functional.gelu(_norm(weights, f"{feed}.0", tokens) @ weights[f"{feed}.1.weight"].T)
        tokens = tokens + inner @ weights[f"{feed}.3.weight"].T
    return _norm(weights, "norm_out", tokens @ weights["proj_out.weight"].T + weights["proj_out.bias"])


def attended(q: Tensor, k: Tensor, v: Tensor, channels: int) -> Tensor:
    """Attention of q (n c) to k and v (m c), in heads of so many channels."""
    out = torch.zeros_like(q)
    for start in range(0, q.shape[1], channels):
        head = slice(start, start + channels)
        for place in range(len(q)):
            logits = (k[:, head] * q[place, head]).sum(1) * channels**-0.5
            out[place, head] = (torch.softmax(logits, 0)[:, None] * v[:, head]).sum(0)
    return out


def _norm(weights: Weights, name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]
