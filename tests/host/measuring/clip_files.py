"""Tiny CLIP files with random weights, made by transformers, whose own network parity is tested against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file


def write_clip(path: Path, text: bool = True) -> Any:
    """Write a CLIP file and return transformers' network."""
    from transformers import CLIPConfig, CLIPModel

    sizes = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 1}
    config = CLIPConfig(
        text_config={**sizes, "projection_dim": 64, "eos_token_id": 49407, "bos_token_id": 49406},
        vision_config={**sizes, "image_size": 64, "patch_size": 32},
        projection_dim=64,
    )
    torch.manual_seed(0)
    model = CLIPModel(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.05)
    kept = {
        key: value.contiguous() for key, value in model.state_dict().items() if text or key.startswith("vis")
    }
    save_file(kept, path)
    return model
