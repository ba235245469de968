"""Whole checkpoints at a size for tests, which the host opens by itself.

Stable Video Diffusion, the x4 upscaler, CLIP vision.

Their autoencoder is that of the toy checkpoint.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from video_ldm.demo import environment

from .families import lavie_rig, video_rig

TOY = environment.REPO / "demo" / "models" / "toy_sd.safetensors"
VAE = "first_stage_model."
PICTURE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 32,  # by which the host tells ViT-H
    "image_size": 224,
    "patch_size": 56,
    "num_channels": 3,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
    "model_type": "clip_vision_model",
}


def tell_host(patch: Any, models: Path, text: int) -> None:
    """Let the host build CLIP vision in the size of `PICTURE`, and a narrow x4 upscaler.

    The latter's width is that of its text encoder.
    """
    import comfy.supported_models as supported

    tell_host_of_pictures(patch, models, text)
    tiny = next(kind for kind in supported.models if kind.__name__ == "TinyX4")
    own = {
        "clip_target": lambda self, state_dict=None: _text_target(),
        "process_clip_state_dict": supported.SD15.process_clip_state_dict,
    }
    patch.setattr(supported, "models", [type("ToyX4", (tiny,), own), *supported.models])


def tell_host_of_pictures(patch: Any, models: Path, text: int) -> None:
    """Let the host build CLIP vision in the size of `PICTURE`."""
    import comfy.clip_vision

    sizes = models / "clip_vision_sizes.json"
    sizes.write_text(json.dumps({**PICTURE, "projection_dim": text}))
    built = comfy.clip_vision.ClipVisionModel
    patch.setattr(comfy.clip_vision, "ClipVisionModel", lambda _config: built(sizes))


def picture_weights(text: int) -> dict[str, Tensor]:
    """CLIP vision as it is published for IP-Adapter."""
    import comfy.ops
    from comfy.clip_model import CLIPVisionModelProjection

    config = {**PICTURE, "projection_dim": text}
    return _random(CLIPVisionModelProjection(config, torch.float32, "cpu", comfy.ops.disable_weight_init))


def write_svd(path: Path, names: dict[str, str], text: int, label: int = 768, vae: str = VAE) -> None:
    """Stable Video Diffusion with image encoder and VAE; SV3D with its label and its place of the VAE.

    `names` are the host's for the UNet's weights, by diffusers'.
    """
    unet = {names[key]: weight for key, weight in video_rig.svd(text, label).state_dict().items()}
    vision = {
        f"conditioner.embedders.0.open_clip.model.visual.{k}": w for k, w in picture_weights(text).items()
    }
    _save(path, {f"model.diffusion_model.{key}": weight for key, weight in unet.items()} | vision, vae)


def write_x4(path: Path) -> None:
    """The x4 upscaler with a text encoder."""
    text = _random(_text_target().clip(device="cpu", dtype=torch.float32, model_options={}))
    encoder = {key.replace("clip_l.", "cond_stage_model.", 1): weight for key, weight in text.items()}
    image = lavie_rig.upscaler_image(lavie_rig.tiny_weights("lavie_vsr"))
    _save(path, {f"model.diffusion_model.{key}": weight for key, weight in image.items()} | encoder)


def _text_target() -> Any:
    """The toy text encoder, as wide as the tiny upscaler reads."""
    import comfy.supported_models as supported
    from comfy.sd1_clip import SD1ClipModel, SD1Tokenizer, SDClipModel
    from comfy.supported_models_base import ClipTarget

    toy = next(kind for kind in supported.models if kind.__name__ == "ToySD")
    width = lavie_rig.TINY_X4.context_dim
    sizes = {**sys.modules[toy.__module__].TEXT_CONFIG, "hidden_size": width, "intermediate_size": 4 * width}

    class Text(SDClipModel):
        def __init__(self, **options: Any) -> None:
            super().__init__(textmodel_json_config=dict(sizes), return_projected_pooled=False, **options)

    class Encoder(SD1ClipModel):
        def __init__(self, **options: Any) -> None:
            super().__init__(clip_model=Text, **options)

    return ClipTarget(SD1Tokenizer, Encoder)


def _random(module: nn.Module) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {
        key: 0.05 * torch.randn(weight.shape) + ("norm" in key and key.endswith("weight"))
        for key, weight in module.state_dict().items()
    }


def _save(path: Path, weights: dict[str, Tensor], place: str = VAE) -> None:
    toy = load_file(TOY)
    vae = {key.replace(VAE, place, 1): toy[key] for key in toy if key.startswith(VAE)}
    path.parent.mkdir(exist_ok=True)
    save_file({key: weight.contiguous() for key, weight in (weights | vae).items()}, path)
