"""A custom node folder for the benchmarks only.

A VAE that costs so little that thousands of frames can be measured.
"""

import copy

import comfy.model_management as mm
import torch
from comfy.model_patcher import ModelPatcher
from comfy.taesd.taesd import TAESD, Block, Clamp, conv

WIDTH = 8  # channels; TAESD has 64
STAGES = 3  # each doubles the sides


def thin_decoder(latent_channels: int, stages: int = STAGES) -> torch.nn.Sequential:
    """TAESD's decoder with few channels and fixed random weights.

    Latents (f c h w) to frames, 8 times as large by default.
    """
    body: list[torch.nn.Module] = []
    for _ in range(stages):
        body += [Block(WIDTH, WIDTH), torch.nn.Upsample(scale_factor=2), conv(WIDTH, WIDTH, bias=False)]
    decoder = torch.nn.Sequential(
        Clamp(), conv(latent_channels, WIDTH), torch.nn.ReLU(), *body, conv(WIDTH, 3)
    )
    generator = torch.Generator().manual_seed(0)
    for parameter in decoder.parameters():
        fan_in = parameter[0].numel() if parameter.ndim > 1 else None
        value = torch.zeros_like(parameter) if fan_in is None else torch.empty_like(parameter)
        parameter.data = (
            value if fan_in is None else value.normal_(0, (1.5 / fan_in) ** 0.5, generator=generator)
        )
        parameter.requires_grad_(False)
    return decoder


class ThinVAE:
    """A TAESD VAE that decodes with the thin decoder, and only decodes."""

    CATEGORY = "Video LDM/benchmarks"
    RETURN_TYPES = ("VAE",)
    FUNCTION = "made"

    @classmethod
    def INPUT_TYPES(cls) -> dict:
        """One VAE."""
        return {"required": {"vae": ("VAE",)}}

    def made(self, vae: object) -> tuple[object]:
        """A VAE with an autoencoder of its own; the one given may be patched and stays as it is."""
        autoencoder, offload = TAESD(latent_channels=vae.latent_channels), mm.vae_offload_device()
        autoencoder.taesd_encoder = torch.nn.Identity()
        autoencoder.taesd_decoder = thin_decoder(vae.latent_channels)
        thin = copy.copy(vae)
        thin.first_stage_model = autoencoder.to(offload, vae.vae_dtype).eval()
        thin.patcher = ModelPatcher(thin.first_stage_model, vae.device, offload)
        return (thin,)


NODE_CLASS_MAPPINGS = {"Benchmark_ThinVAE": ThinVAE}
