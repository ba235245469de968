"""The host's image model, text encoder and autoencoder as training sees them: plain callables and numbers.

Shapes: noisy ((b f) c h w); t ((b f),); text (b m e); pooled (b p); frames (f h w 3) float 0..1;
latents (f c h w).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_base
import comfy.model_management as mm
import comfy.sd
import folder_paths
import torch
from comfy.ldm.modules.attention import BasicTransformerBlock
from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional

from ....temporal.errors import CheckpointFormatError, IncompatibleModelError
from ....temporal.sampling.clip import Clip, sdpa
from ....temporal.stack.stack import TemporalStack
from ....temporal.training.data.conditions import NOTHING, Conditions
from ....temporal.training.data.enlarging import Enlarging
from ....temporal.training.loop import Denoise
from ....temporal.training.noise_levels import NoiseLevels
from ..layers.hooks import inserted

Vector = Callable[[Tensor, int, int], Tensor]  # pooled text (b p), width, height -> (b a)
PROBE = "a red circle, 3 dogs & the sea at night (moving to the left)"
PIXELS = 8  # a side of what one place of a latent stands for


@dataclass(frozen=True)
class Checkpoint:
    """Model, text encoder and VAE that the host's loader makes of a checkpoint file."""

    model: Any
    clip: Any
    vae: Any


def load_checkpoint(name: str) -> Checkpoint:
    """A checkpoint by path, or by its name in the host's checkpoint folders.

    Raises CheckpointFormatError when there is no such file, or the host does not know what it is.
    """
    path = name if Path(name).is_file() else folder_paths.get_full_path("checkpoints", name)
    if path is None:
        known = ", ".join(folder_paths.get_filename_list("checkpoints")[:5]) or "no files"
        raise CheckpointFormatError(f"There is no checkpoint {name}; the host's folders hold {known}.")
    try:
        model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(str(path))
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise CheckpointFormatError(
            f"The host cannot load the checkpoint {name} ({reason}); is a custom node missing that teaches "
            "it this model?"
        ) from None
    if model is None or clip is None or vae is None:
        raise CheckpointFormatError(
            f"The checkpoint {name} must hold an image model, a text encoder and a VAE; give a complete one."
        )
    return Checkpoint(model, clip, vae)


def training_device() -> torch.device:
    """The device that the host computes on: the CPU where it was started with it."""
    return mm.get_torch_device()


def noise_levels(model: Any) -> NoiseLevels:
    """The schedule and prediction target of a MODEL.

    Refuses models whose conditioning training does not make.
    """
    kind = model.model.model_type.name
    known = not model.model.adm_channels or isinstance(model.model, comfy.model_base.SDXL)
    if kind not in ("EPS", "V_PREDICTION") or not known:
        raise IncompatibleModelError(
            "Temporal layers train on SD 1.x, SD 2.x and SDXL image models and on the SD x4 upscaler; this "
            f"one is a {type(model.model).__name__} ({kind}). Give the checkpoint of such a model."
        )
    config = model.model.model_config.unet_config
    if config["in_channels"] != config["out_channels"] and not enlarges(model):
        raise IncompatibleModelError(
            f"The image model takes in {config['in_channels']} channels instead of "
            f"{config['out_channels']}, as inpainting models do; give the plain checkpoint it was made "
            "from, on which layers for both can be trained."
        )
    sigmas = model.get_model_object("model_sampling").sigmas.float().cpu()
    return NoiseLevels(1 / (1 + sigmas**2), "eps" if kind == "EPS" else "v")


def channels(model: Any) -> int:
    """Channels that the UNet of a MODEL takes in."""
    return model.model.model_config.unet_config["in_channels"]


def enlarges(model: Any) -> bool:
    """True if a MODEL is the SD x4 upscaler, which takes in small frames beside noisy latents."""
    return isinstance(model.model, comfy.model_base.SD_X4Upscaler)


def enlarging(model: Any, side: int) -> Enlarging:
    """Settings for the small frames of the SD x4 upscaler, as its noise augmentation makes them."""
    augmentor = model.model.noise_augmentor
    return Enlarging(side, NoiseLevels(augmentor.alphas_cumprod.float().cpu()), augmentor.max_noise_level)


def frozen_unet(model: Any, dtype: torch.dtype | None = None) -> nn.Module:
    """The MODEL's UNet on its device, frozen, with weights that autograd accepts.

    Optionally in another precision.

    The host loads under `torch.inference_mode`, whose tensors cannot take part in a backward pass: those are
    copied.
    """
    if getattr(model, "is_dynamic", bool)():  # weights that come and go cannot wait for a backward pass
        model = model.get_non_dynamic_delegate()
    mm.load_models_gpu([model], force_full_load=True)
    unet = model.model.diffusion_model
    with torch.inference_mode(False), torch.no_grad():
        for module in unet.modules():
            for name, parameter in list(module._parameters.items()):
                if parameter is not None and (
                    parameter.is_inference() or parameter.requires_grad or dtype is not None
                ):
                    value = parameter.detach().to(dtype) if dtype is not None else parameter.detach().clone()
                    module._parameters[name] = nn.Parameter(value, requires_grad=False)
        if dtype is not None:
            unet.dtype = dtype
    return unet


def vector_of(model: Any) -> Vector | None:
    """Function of pooled text and size in pixels that gives a MODEL its vector; None: it takes none."""
    base = model.model
    if not base.adm_channels:
        return None
    return lambda pooled, width, height: base.encode_adm(pooled_output=pooled, width=width, height=height)


def denoiser(unet: nn.Module, vector: Vector | None = None) -> Denoise:
    """The UNet with temporal layers as a function of noisy latents.

    The host may move its weights away between calls.
    """

    def denoise(
        noisy: Tensor,
        t: Tensor,
        text: Tensor,
        stack: TemporalStack,
        clip: Clip,
        conditions: Conditions = NOTHING,
    ) -> Tensor:
        given: dict[str, Any] = {"transformer_options": {}}
        if next(unet.parameters()).device != noisy.device:
            unet.to(noisy.device)
        if noisy.device.type == "cpu":
            given["transformer_options"]["optimized_attention_override"] = _plain_attention
        if vector is not None:
            y = vector(conditions.pooled, PIXELS * noisy.shape[-1], PIXELS * noisy.shape[-2]).to(
                noisy.device, unet.dtype
            )
            given["y"] = repeat(y, "b a -> (b f) a", f=clip.num_frames)
        elif conditions.level is not None:
            given["y"] = conditions.level
        if conditions.low_res is not None:
            noisy = torch.cat([noisy, conditions.low_res], dim=1)
        context = repeat(text, "b m e -> (b f) m e", f=clip.num_frames).to(unet.dtype)
        with inserted(unet, stack, clip):
            return unet(noisy.to(unet.dtype), t, context=context, **given)

    return denoise


def _plain_attention(
    _host: Any, q: Tensor, k: Tensor, v: Tensor, heads: int, mask: Tensor | None = None, **_kwargs: Any
) -> Tensor:
    """The temporal layers' own attention for the UNet's too.

    On a CPU its backward pass takes half the time.
    """
    return sdpa(q, k, v, heads, mask)


def compile_blocks(unet: nn.Module, stack: TemporalStack) -> None:
    """Compile every block of a private UNet and every temporal layer on its own.

    The hooks between them stay live.
    """
    blocks = [m for m in unet.modules() if isinstance(m, ResBlock | BasicTransformerBlock)]
    for block in (*blocks, *stack.layers.values()):
        block.forward = torch.compile(block.forward)


def encode_captions(clip: Any, captions: list[str]) -> Tensor:
    """Text embeddings of captions, (captions m e)."""
    return encode_texts(clip, captions)[0]


@torch.inference_mode()
def encode_texts(clip: Any, captions: list[str]) -> tuple[Tensor, Tensor]:
    """Embeddings of captions, (captions m e), and pooled ones, (captions p).

    Of long captions the part that fits in one.
    """
    rows = [clip.encode_from_tokens(clip.tokenize(text), return_pooled=True) for text in ("", *captions)]
    tokens = [row.float().cpu()[:, : rows[0][0].shape[1]] for row, _ in rows[1:]]
    pooled = [row.float().cpu() for _, row in rows[1:]]
    return torch.cat(tokens).clone(), torch.cat(pooled).clone()


@torch.inference_mode()
def encode_frames(model: Any, vae: Any, frames: Tensor) -> Tensor:
    """Latents of frames, scaled as the UNet sees them."""
    return model.model.process_latent_in(vae.encode(frames[..., :3])).float().cpu().clone()


def encode_both(model: Any, vae: Any, frames: Tensor) -> Tensor:
    """Latents of large frames, and in three further channels the small frames, in -1..1.

    The small ones have the size of the latents.
    """
    latents = encode_frames(model, vae, frames)
    pixels = rearrange(frames[..., :3], "f h w c -> f c h w")
    small = functional.interpolate(pixels, size=latents.shape[-2:], mode="bicubic", antialias=True)
    return torch.cat([latents, 2 * small.clamp(0, 1) - 1], dim=1)


@torch.inference_mode()
def decode_frames(model: Any, vae: Any, latents: Tensor) -> Tensor:
    """Frames of latents that are scaled as the UNet sees them."""
    return vae.decode(model.model.process_latent_out(latents.float())).cpu()


def fingerprint(weights: Mapping[str, Tensor]) -> str:
    """Short name of named tensors: equal ones, equal name; used to tell whether a cache is still good."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(f"{name}{tuple(value.shape)}{value.cpu().double().sum().item():.6e}".encode())
    return digest.hexdigest()[:16]


def text_fingerprint(clip: Any) -> str:
    """Fingerprint of a text encoder: the hash of its embedding of PROBE.

    Hashing weights fails: some are created at load and unused.
    """
    text, pooled = encode_texts(clip, [PROBE])
    return fingerprint({"text": text, "pooled": pooled})
