"""A custom node folder for the demo and the tests only: it teaches the host to open the toy checkpoint.

The toy model is Stable Diffusion 1.x in every respect but size, so the host has to be told the sizes once;
its own Load Checkpoint node then opens `toy_sd.safetensors` like any other. Link or copy this folder into
`custom_nodes`.
"""

from pathlib import Path

import comfy.latent_formats
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import torch.nn.functional as F
from safetensors.torch import load_file

WIDTH = 48
TEXT_CONFIG = {
    "num_hidden_layers": 2,
    "hidden_size": WIDTH,
    "num_attention_heads": 4,
    "intermediate_size": 4 * WIDTH,
    "hidden_act": "quick_gelu",
    "max_position_embeddings": 77,
    "eos_token_id": 49407,
}


class ToyLatent(comfy.latent_formats.SD15):
    """Latents of SD 1.x, with colours of their own in previews.

    A layer over neighbours comes before the host's linear map; `demo/train/preview.py` fitted both.
    """

    def __init__(self):
        super().__init__()
        state = load_file(Path(__file__).with_name("preview.safetensors"))
        self.weight, self.bias = state["0.weight"].float(), state["0.bias"].float()
        self.latent_rgb_factors = state["2.weight"].float().flatten(1).T.tolist()
        self.latent_rgb_factors_bias = state["2.bias"].float().tolist()
        self.latent_rgb_factors_reshape = self.features

    def features(self, latents):
        """Latents (b 4 h w) to what the linear map reads: (b n h w)."""
        padded = F.pad(latents, (1, 1, 1, 1), mode="replicate")
        return F.conv2d(padded, self.weight.to(latents), self.bias.to(latents)).relu()


class ToyTextModel(comfy.sd1_clip.SDClipModel):
    """A CLIP text model of two narrow layers that reads the real CLIP tokens."""

    def __init__(self, device="cpu", dtype=None, model_options=None):
        super().__init__(
            device=device,
            dtype=dtype,
            textmodel_json_config=dict(TEXT_CONFIG),
            return_projected_pooled=False,
            model_options=model_options or {},
        )


class ToyTextEncoder(comfy.sd1_clip.SD1ClipModel):
    """The toy text model in the host's frame for SD 1.x prompts, weights in brackets included."""

    def __init__(self, device="cpu", dtype=None, model_options=None):
        super().__init__(
            device=device, dtype=dtype, model_options=model_options or {}, clip_model=ToyTextModel
        )


class ToySD(comfy.supported_models.SD15):
    """Stable Diffusion 1.x with 64 channels and a text width of 48."""

    unet_config = {
        "context_dim": WIDTH,
        "model_channels": 64,
        "use_linear_in_transformer": False,
        "adm_in_channels": None,
        "use_temporal_attention": False,
    }
    latent_format = ToyLatent
    unet_extra_config = {"num_heads": 4, "num_head_channels": -1}

    def clip_target(self, state_dict=None):
        return comfy.supported_models_base.ClipTarget(comfy.sd1_clip.SD1Tokenizer, ToyTextEncoder)


if not any(known.__name__ == ToySD.__name__ for known in comfy.supported_models.models):
    comfy.supported_models.models.append(ToySD)

NODE_CLASS_MAPPINGS = {}
