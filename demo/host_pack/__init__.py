"""A custom node folder for the demo and the tests only: it teaches the host to open the toy checkpoint.

The toy model is Stable Diffusion 1.x in every respect but size, so the host has to be told the sizes once;
its own Load Checkpoint node then opens `toy_sd.safetensors` like any other. Link or copy this folder into
`custom_nodes`.
"""

import comfy.latent_formats
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import torch.nn.functional as F

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


# Least squares from toy latents, each with its neighbours (4 channels of 3 x 3), to the mean colours of what they
# decode to, over 96 drawn pictures; root mean square error 0.22 of -1..1, with the factors of SD 1.x 0.45.
COLOURS = [
    [0.001, 0.011, 0.017],
    [-0.003, 0.022, 0.025],
    [0.003, 0.034, 0.016],
    [0.007, 0.008, 0.001],
    [-0.018, 0.017, -0.065],
    [0.031, 0.102, -0.041],
    [0.023, 0.025, -0.002],
    [0.007, 0.028, -0.013],
    [0.020, 0.065, -0.024],
    [0.049, 0.055, 0.029],
    [0.080, 0.058, 0.097],
    [0.049, 0.078, 0.030],
    [0.058, 0.051, 0.056],
    [0.071, 0.023, 0.171],
    [0.066, 0.104, 0.044],
    [0.079, 0.083, 0.047],
    [0.077, 0.078, 0.070],
    [0.046, 0.073, 0.009],
    [-0.006, -0.018, -0.004],
    [0.006, -0.008, 0.002],
    [0.014, 0.006, 0.002],
    [-0.004, -0.050, 0.012],
    [-0.026, -0.095, -0.005],
    [0.003, -0.033, 0.023],
    [0.011, -0.012, -0.006],
    [0.029, -0.015, -0.007],
    [0.048, 0.029, 0.024],
    [0.040, 0.063, 0.018],
    [0.033, -0.003, 0.030],
    [0.020, -0.012, 0.020],
    [0.024, 0.064, 0.006],
    [-0.017, -0.054, 0.010],
    [0.000, -0.048, 0.044],
    [0.005, 0.034, 0.009],
    [0.004, 0.006, 0.030],
    [-0.014, -0.033, 0.011],
]
BIAS = [0.041, -0.011, -0.004]


def with_neighbours(latents):
    """Latents (b c h w) beside the eight around them: (b 9c h w)."""
    high, wide = latents.shape[-2:]
    return F.unfold(F.pad(latents, (1, 1, 1, 1), mode="replicate"), 3).unflatten(-1, (high, wide))


class ToyLatent(comfy.latent_formats.SD15):
    """Latents of SD 1.x, with colours of their own in previews."""

    def __init__(self):
        super().__init__()
        self.latent_rgb_factors, self.latent_rgb_factors_bias = COLOURS, BIAS
        self.latent_rgb_factors_reshape = with_neighbours


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
