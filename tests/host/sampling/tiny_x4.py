"""The SD x4 upscaler in every respect but size: the host's own classes, all weights random."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from video_ldm.tests.host.training.tiny_sdxl import random_weights

TEXT, TOKENS = 16, 7
UNET = {
    "model_channels": 32,
    "channel_mult": [1, 2],
    "num_res_blocks": [1, 1],
    "transformer_depth": [0, 1],
    "transformer_depth_output": [1, 1, 0, 0],
    "transformer_depth_middle": 1,
    "context_dim": TEXT,
    "num_heads": 4,
    "num_head_channels": -1,
    "use_linear_in_transformer": True,
    "use_spatial_transformer": True,
    "disable_self_attentions": [True, False],
    "num_classes": 1000,
    "in_channels": 7,
    "out_channels": 4,
    "image_size": 32,
    "legacy": False,
}
VAE = {
    "double_z": True,
    "z_channels": 4,
    "resolution": 256,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 32,
    "ch_mult": [1, 1, 1],
    "num_res_blocks": 1,
    "attn_resolutions": [],
    "dropout": 0.0,
}


def model() -> Any:
    """MODEL."""
    import comfy.model_management as mm
    import comfy.model_patcher
    from comfy.supported_models import SD_X4Upscaler

    config = SD_X4Upscaler(_fresh())
    config.unet_config = _fresh()
    config.set_inference_dtype(torch.float32, None)
    upscaler = config.get_model({}, "")
    torch.manual_seed(0)
    upscaler.diffusion_model.load_state_dict(random_weights(upscaler.diffusion_model))
    config.unet_config = _fresh()  # the host's constructor consumes its lists
    return comfy.model_patcher.ModelPatcher(upscaler, mm.get_torch_device(), mm.unet_offload_device())


def vae() -> Any:
    """VAE, whose latents have a quarter of the frames' size."""
    import comfy.sd
    from comfy.ldm.models.autoencoder import AutoencoderKL

    torch.manual_seed(0)
    weights = random_weights(AutoencoderKL(ddconfig=VAE, embed_dim=4))
    made = comfy.sd.VAE(weights, config={"params": {"ddconfig": VAE, "embed_dim": 4}})
    made.downscale_ratio = made.upscale_ratio = 4  # as the host sets it where it finds the sizes itself
    return made


class Text:
    """A text encoder that knows a text by its letters."""

    def tokenize(self, text: str) -> str:
        return text

    def encode_from_tokens(self, text: str, return_pooled: bool) -> tuple[Tensor, Tensor]:
        """Tokens (1 m e) and pooled text (1 e)."""
        generator = torch.Generator().manual_seed(sum(text.encode()))
        return torch.randn(1, TOKENS, TEXT, generator=generator), torch.zeros(1, TEXT)


def _fresh() -> dict[str, Any]:
    return {key: value[:] if isinstance(value, list) else value for key, value in UNET.items()}
