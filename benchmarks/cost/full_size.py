"""Sample once at full size: SD 1.5 with AnimateDiff v2 layers through ComfyUI's server, against diffusers.

    OMP_NUM_THREADS=2 python -m video_ldm.benchmarks.cost.full_size            16 frames at 128 x 128, 2 steps
    python -m video_ldm.benchmarks.cost.full_size --frames 2 --size 64 --steps 1      to try it

Random weights, written as half-precision files (2.9 GB below the temporary folder; 12 GB of memory), opened
by the host's loaders and ours. The reference is diffusers' UNetMotionModel with the norms of the original
code and an Euler sampler of its own, in single precision. Ends with an error where the latents differ by more
than the aim.

Shapes: f frames, c h w a latent, m text tokens, e text channels.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save_file
from torch import Tensor

from ...demo.comfy import Graph, Host
from ...temporal.stack.plan import SD1
from . import models

AIM = 1e-3  # relative error of the latents
SEED, CFG = 7, 3.0
PROMPTS = ("a lighthouse on a cliff, drifting clouds", "low quality")
UNET, LAYERS, CLIP = "sd15.safetensors", "mm_v2.safetensors", "clip_l.safetensors"


def half(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as files hold them."""
    return {key: weight.half().contiguous() for key, weight in weights.items()}


def write_files(folder: Path, unet: Any) -> None:
    """The image model, the layers and a text encoder, under the host's folders of models."""
    from transformers import CLIPTextConfig, CLIPTextModel

    text = CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_attention_heads=12))
    files = {
        f"diffusion_models/{UNET}": models.host_weights(unet, SD1),
        f"temporal_layers/{LAYERS}": models.motion_weights(unet),
        f"text_encoders/{CLIP}": {
            f"text_model.{key.removeprefix('text_model.')}": value for key, value in text.state_dict().items()
        },
    }
    for name, weights in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        save_file(half(weights), folder / name)


def graph(frames: int, size: int, steps: int) -> Graph:
    """Text to the latents of a clip, as an artist wires it."""
    sampler = {"seed": SEED, "steps": steps, "cfg": CFG, "sampler_name": "euler", "scheduler": "normal"}
    more = {
        "denoise": 1.0,
        "cfg_last_frame": 0.0,
        "noise_type": "independent",
        "noise_correlation": 0.5,
        "fps": 8.0,
    }
    links = {
        "model": ["layers", 0],
        "positive": ["text 0", 0],
        "negative": ["text 1", 0],
        "latent_image": ["empty", 0],
    }
    nodes = {
        "unet": ("UNETLoader", {"unet_name": UNET, "weight_dtype": "default"}),
        "layers": ("VLDM_LoadTemporalLayers", {"model": ["unet", 0], "file": LAYERS, "strength": 1.0}),
        "clip": ("CLIPLoader", {"clip_name": CLIP, "type": "stable_diffusion", "device": "default"}),
        **{
            f"text {number}": ("CLIPTextEncode", {"clip": ["clip", 0], "text": text})
            for number, text in enumerate(PROMPTS)
        },
        "empty": ("EmptyLatentImage", {"width": size, "height": size, "batch_size": frames}),
        "sample": ("VLDM_VideoKSampler", {**sampler, **more, **links}),
        "save": ("SaveLatent", {"samples": ["sample", 0], "filename_prefix": "full_size"}),
    }
    return {name: {"class_type": kind, "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def through_the_server(unet: Any, arguments: argparse.Namespace) -> tuple[Tensor, list[Tensor], float]:
    """Latents (f c h w) of a clip, its texts, and the seconds of the run.

    The texts (1 m e) are those that the host's encoder makes of the prompts.
    """
    host = Host()
    with host as client:
        folder = host.base / "models"
        write_files(folder, unet)
        start = time.perf_counter()
        shown = client.run(graph(arguments.frames, arguments.size, arguments.steps))
        seconds = time.perf_counter() - start
        latents = load(client.view(shown["save"]["latents"][0]))["latent_tensor"]
        return latents.float(), encoded(folder / "text_encoders" / CLIP), seconds


def encoded(path: Path) -> list[Tensor]:
    """The prompts through the host's text encoder in this process.

    The reference is of the network, not of the text.
    """
    import comfy.sd

    clip = comfy.sd.load_clip([str(path)])
    with torch.inference_mode():
        return [clip.encode_from_tokens(clip.tokenize(text)).float() for text in PROMPTS]


def reference(unet: Any, texts: list[Tensor], arguments: argparse.Namespace) -> Tensor:
    """Clip of diffusers' network and the Euler method.

    On the noise levels of AnimateDiff's betas.
    """
    from ...tests.host.families.motion_rig import norms_of_the_original

    norms_of_the_original(unet, clip_norm=False, clip_norm_image=False)
    betas = torch.linspace(0.00085, 0.012, 1000, dtype=torch.float64)
    levels = ((1 - (1 - betas).cumprod(0)) / (1 - betas).cumprod(0)).sqrt()
    times = torch.linspace(999, 0, arguments.steps)
    sigmas = [_at(levels.log(), t).exp().item() for t in times] + [0.0]
    side = arguments.size // 8
    noise = torch.randn(arguments.frames, 4, side, side, generator=torch.manual_seed(SEED))
    x = noise * (1 + sigmas[0] ** 2) ** 0.5
    context = torch.cat([text.repeat_interleave(arguments.frames, 0) for text in texts])
    with torch.inference_mode():
        for time_, sigma, lower in zip(times.round(), sigmas, sigmas[1:], strict=False):
            clip = (x / (1 + sigma**2) ** 0.5).transpose(0, 1)[None]
            positive, negative = unet(torch.cat([clip, clip]), time_, context).sample
            noise = (negative + CFG * (positive - negative)).transpose(0, 1)
            x = x + noise * (lower - sigma)
    return x / 0.18215


def _at(values: Tensor, place: Tensor) -> Tensor:
    """A table between its entries."""
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return torch.lerp(values[below], values[above], (place - below).double())


def main() -> None:
    """Run both, print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--size", type=int, default=128, help="side of the frames in pixels")
    parser.add_argument("--steps", type=int, default=2)
    arguments = parser.parse_args()
    models.start_host()
    unet = models.reference(SD1)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.copy_(parameter.half())  # what the files hold
    latents, texts, seconds = through_the_server(unet, arguments)
    gc.collect()
    expected = reference(unet, texts, arguments)
    error = ((latents - expected).norm() / expected.norm()).item()
    print(
        json.dumps(
            {"relative_error": error, "server_seconds": round(seconds, 1), "shape": list(latents.shape)}
        )
    )
    if not error < AIM:
        sys.exit(f"The latents differ from the reference by {error:.2g}, more than {AIM}.")


if __name__ == "__main__":
    main()
