"""The toy checkpoint's parts as host modules: text encoder, UNet and autoencoder, new or from the file.

Tokens `(b 77)`, text `(b 77 48)`, latents `(b 4 16 16)` at the scale diffusion works in (the host's latents
times 0.18215).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors.torch import load_file
from torch import Tensor, nn

from .common import half_precision, reset_parameters, save_half, use_host

UNET = "model.diffusion_model."
TEXT = "cond_stage_model.transformer."
AUTOENCODER = "first_stage_model."
VOCABULARY = 49408
LATENT_SCALE = 0.18215


def new_autoencoder() -> nn.Module:
    """A fresh TAESD whose latents, before the host's scaling, are those of its encoder divided by 0.18215."""
    use_host()
    from comfy.taesd.taesd import TAESD

    torch.set_grad_enabled(True)
    model = TAESD(latent_channels=4)
    reset_parameters(model)
    model.vae_scale = nn.Parameter(torch.tensor(LATENT_SCALE), requires_grad=False)
    model.vae_shift = nn.Parameter(torch.tensor(0.0), requires_grad=False)
    return model.to(memory_format=torch.channels_last)


def new_unet() -> nn.Module:
    """A fresh UNet of the host whose residual branches and output start at zero."""
    use_host()
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    unet = UNetModel(
        image_size=32, in_channels=4, out_channels=4, model_channels=64, channel_mult=[1, 2],
        num_res_blocks=[1, 1], transformer_depth=[1, 1], transformer_depth_output=[1, 1, 1, 1],
        transformer_depth_middle=1, num_heads=4, use_spatial_transformer=True, context_dim=48, legacy=False,
        dtype=torch.float32,
    )  # fmt: skip
    reset_parameters(unet)
    for name, part in unet.named_modules():
        if name.endswith(("out_layers.3", "proj_out")) or name == "out.2":
            nn.init.zeros_(part.weight)
            nn.init.zeros_(part.bias)
    return unet.to(memory_format=torch.channels_last)


def attend(q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """Attention with heads folded in the channels `(b n (h d))`, as the host's layers call it."""
    q, k, v = (rearrange(x, "b n (h d) -> b h n d", h=heads) for x in (q, k, v))
    return rearrange(F.scaled_dot_product_attention(q, k, v, attn_mask=mask), "b h n d -> b n (h d)")


class TextEncoder(nn.Module):
    """The host's CLIP text model over only those tokens that the toy world's sentences use."""

    def __init__(self, tokens: list[int]) -> None:
        super().__init__()
        use_host()
        import comfy.ops
        from comfy.clip_model import CLIPTextModel

        from ..host_pack import TEXT_CONFIG, WIDTH

        self.tokens = tokens
        self.model = CLIPTextModel(dict(TEXT_CONFIG), torch.float32, "cpu", comfy.ops.disable_weight_init)
        self.model.set_input_embeddings(comfy.ops.disable_weight_init.Embedding(len(tokens), WIDTH))
        reset_parameters(self.model)
        nn.init.normal_(self.model.get_input_embeddings().weight, std=0.1)
        nn.init.normal_(self.model.text_model.embeddings.position_embedding.weight, std=0.03)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token numbers among self.tokens `(b 77)` to text `(b 77 48)`."""
        body = self.model.text_model
        hidden = body.embeddings(tokens)
        mask = hidden.new_full((tokens.shape[1],) * 2, -torch.inf).triu(1)
        for layer in body.encoder.layers:  # the host's own loop adds in place, which has no gradient
            hidden = hidden + layer.self_attn(layer.layer_norm1(hidden), mask, attend)
            hidden = hidden + layer.mlp(layer.layer_norm2(hidden))
        return body.final_layer_norm(hidden)

    def load_full_state(self, state: dict[str, Tensor]) -> None:
        """The reverse of full_state: only the rows of our tokens are taken from the vocabulary."""
        key = "text_model.embeddings.token_embedding.weight"
        self.model.load_state_dict({**state, key: state[key][self.tokens]}, strict=False)

    def full_state(self) -> dict[str, Tensor]:
        """The weights under the host's names, with the whole vocabulary; tokens never seen are zero."""
        state = {key: value for key, value in self.model.state_dict().items() if "text_projection" not in key}
        key = "text_model.embeddings.token_embedding.weight"
        table = state[key].new_zeros(VOCABULARY, state[key].shape[1])
        table[self.tokens] = state[key]
        return {**state, key: table}


def save_checkpoint(path: Path, unet: nn.Module, text: TextEncoder, autoencoder: nn.Module) -> None:
    """Write the checkpoint that the host's Load Checkpoint opens once it knows the toy model."""
    parts = {UNET: unet.state_dict(), TEXT: text.full_state(), AUTOENCODER: autoencoder.state_dict()}
    tensors = {prefix + key: value for prefix, state in parts.items() for key, value in state.items()}
    save_half(path, tensors, {"format": "pt", "modelspec.title": "Video LDM toy model"})


def load_parts(path: Path, unet: nn.Module, text: TextEncoder) -> None:
    """Fill a UNet and a text encoder with the weights of a toy checkpoint."""
    state = {key: value.float() for key, value in load_file(path).items()}
    unet.load_state_dict({k.removeprefix(UNET): v for k, v in state.items() if k.startswith(UNET)})
    text.load_full_state({k.removeprefix(TEXT): v for k, v in state.items() if k.startswith(TEXT)})


def load_autoencoder(path: Path) -> nn.Module:
    """The autoencoder of a toy checkpoint, or of a file that holds nothing else."""
    state = load_file(path)
    inside = {
        key.removeprefix(AUTOENCODER): value for key, value in state.items() if key.startswith(AUTOENCODER)
    }
    model = new_autoencoder()
    model.load_state_dict({key: value.float() for key, value in (inside or state).items()})
    return model.requires_grad_(False).eval()


@torch.no_grad()
def encode(autoencoder: nn.Module, pictures: Tensor) -> Tensor:
    """Pictures `(b 3 h w)` in 0..1 to latents `(b 4 h/8 w/8)` at the scale diffusion works in."""
    with half_precision(pictures.device):
        latents = autoencoder.taesd_encoder(pictures.contiguous(memory_format=torch.channels_last))
    return (latents.float() / autoencoder.vae_scale + autoencoder.vae_shift) * LATENT_SCALE


@torch.no_grad()
def decode(autoencoder: nn.Module, latents: Tensor) -> Tensor:
    """Latents `(b 4 h w)` at the scale diffusion works in to pictures `(b 3 8h 8w)` in 0..1."""
    latents = (latents / LATENT_SCALE - autoencoder.vae_shift) * autoencoder.vae_scale
    with half_precision(latents.device):
        pictures = autoencoder.taesd_decoder(latents)
    return pictures.float().clamp(0, 1)
