"""A checkpoint of SDXL in every respect but size.

Two text encoders, pooled text and sizes, transformers of two blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from video_ldm.demo import environment

TEXT_L, TEXT_G = 32, 24  # widths of the text encoders
SIZES = 6 * 256  # of what SDXL is told of a picture's size
UNET = {
    "image_size": 32,
    "in_channels": 4,
    "out_channels": 4,
    "model_channels": 64,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 2],
    "transformer_depth": [0, 2],
    "transformer_depth_output": [0, 0, 2, 2],
    "transformer_depth_middle": 2,
    "num_head_channels": 64,  # the only number of channels per head that the host finds in such a file
    "use_linear_in_transformer": True,
    "use_spatial_transformer": True,
    "legacy": False,
    "num_classes": "sequential",
    "adm_in_channels": TEXT_G + SIZES,
    "context_dim": TEXT_L + TEXT_G,
    "use_temporal_attention": False,
}


def write_checkpoint(path: Path) -> None:
    """Random weights in the layout of SDXL's own files, with the toy checkpoint's VAE."""
    from comfy.clip_model import CLIPTextModel
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.ops import manual_cast

    torch.manual_seed(0)
    toy = load_file(environment.REPO / "demo" / "models" / "toy_sd.safetensors")
    weights = {key: value for key, value in toy.items() if key.startswith("first_stage_model.")}
    unet = UNetModel(**UNET, dtype=torch.float32, device="cpu", operations=manual_cast)
    weights |= random_weights(unet, "model.diffusion_model.")
    for place, width in (("0.transformer", TEXT_L), ("1.model.transformer", TEXT_G)):
        text = CLIPTextModel(_text_config(width), torch.float32, "cpu", manual_cast)
        weights |= random_weights(text, f"conditioner.embedders.{place}.")
    save_file(weights, path)


@contextmanager
def known_to_host() -> Iterator[None]:
    """The host's loader recognises the checkpoint inside the `with` statement."""
    import comfy.supported_models
    from comfy.sdxl_clip import SDXLClipModel, SDXLTokenizer
    from comfy.supported_models_base import ClipTarget

    sizes = {"clip_l_model_config": _text_config(TEXT_L), "clip_g_model_config": _text_config(TEXT_G)}

    class TinyText(SDXLClipModel):
        def __init__(self, device="cpu", dtype=None, model_options=None):
            super().__init__(device, dtype, {**(model_options or {}), **sizes})

    class TinySDXL(comfy.supported_models.SDXL):
        unet_config = {
            key: UNET[key]
            for key in ("model_channels", "context_dim", "adm_in_channels", "transformer_depth")
        }

        def clip_target(self, state_dict=None):
            return ClipTarget(SDXLTokenizer, TinyText)

    comfy.supported_models.models.append(TinySDXL)
    try:
        yield
    finally:
        comfy.supported_models.models.remove(TinySDXL)


def _text_config(width: int) -> dict:
    return {
        "num_hidden_layers": 3,
        "hidden_size": width,
        "num_attention_heads": 4,
        "intermediate_size": 2 * width,
        "hidden_act": "gelu",
        "max_position_embeddings": 77,
        "eos_token_id": 49407,
        "vocab_size": 49408,
    }


def random_weights(module: torch.nn.Module, prefix: str = "") -> dict[str, Tensor]:
    """Of about the size that keeps activations at theirs."""
    weights = {}
    for key, value in module.state_dict().items():
        noise = torch.randn(value.shape)
        if value.ndim > 1:
            weights[prefix + key] = noise / value[0].numel() ** 0.5
        else:
            weights[prefix + key] = 0.1 * noise + key.endswith("weight")
    return weights
