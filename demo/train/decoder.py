"""Train the bundled temporal decoder of the toy autoencoder on rendered clips, and measure the flicker it takes away.

    python -m video_ldm.demo.train.decoder --checkpoint toy_sd.safetensors --out toy_decoder.safetensors

Encoder and decoder stay as they are; only the layers in time train. Frames `(f 3 h w)` in 0..1, latents `(f 4 h/8 w/8)`.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from ...temporal.decoder import TAESD, DecoderConfig, TemporalDecoder, save_decoder
from ...temporal.training.decoder import flicker, train_decoder
from .. import world
from .common import start_log
from .toy_models import LATENT_SCALE, encode, load_autoencoder

FRAMES, FPS = 8, 8.0


def decode(autoencoder: nn.Module, latents: Tensor, decoder: TemporalDecoder | None) -> Tensor:
    """Frames of latents, with the temporal decoder's layers after the residual blocks if there are any."""
    scaled = (latents / LATENT_SCALE - autoencoder.vae_shift) * autoencoder.vae_scale
    with ExitStack() as hooks, torch.autocast("cpu", torch.bfloat16):
        for site in decoder.sites if decoder is not None else ():
            handle = autoencoder.get_submodule(site.path).register_forward_hook(
                lambda _block, _args, output, site=site: decoder(site, output)
            )
            hooks.callback(handle.remove)
        return autoencoder.taesd_decoder(scaled).float()


def draw(
    autoencoder: nn.Module, seed: int, split: world.Split, noise: float, crop: int
) -> tuple[Tensor, Tensor]:
    """Latents of a rendered clip with a little noise of their own in every frame, and its frames; cropped."""
    rng = np.random.default_rng(seed)
    rendered = torch.from_numpy(world.render(world.sample(rng, split), FRAMES, FPS))
    frames = rearrange(rendered, "f h w c -> f c h w").float() / 255
    latents = encode(autoencoder, frames)
    latents = latents + noise * torch.from_numpy(rng.standard_normal(latents.shape, np.float32))
    y, x = (int(rng.integers(16 - crop + 1)) for _ in range(2))
    frames = frames[..., 8 * y : 8 * (y + crop), 8 * x : 8 * (x + crop)]
    return latents[..., y : y + crop, x : x + crop], frames


@torch.no_grad()
def measure(
    autoencoder: nn.Module, decoder: TemporalDecoder | None, noise: float, clips: int
) -> tuple[float, float]:
    """Flicker, and mean absolute error, over held-out clips, in 255ths."""
    values = []
    for number in range(clips):
        latents, frames = draw(autoencoder, 10**6 + number, "test", noise, 16)
        decoded = decode(autoencoder, latents, decoder).clamp(0, 1)
        values.append((flicker(decoded, frames).item(), (decoded - frames).abs().mean().item()))
    return tuple((255 * np.mean(values, 0)).tolist())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="a toy checkpoint or autoencoder file")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--noise", type=float, default=0.05, help="noise on the latents of each frame")
    parser.add_argument("--clips", type=int, default=32, help="held-out clips to measure on")
    args = parser.parse_args()
    log = start_log()
    # Never optimised, but its weights have gradients: PyTorch 2.11's convolutions crash on a CPU when only the
    # gradient of their input is asked for.
    autoencoder = load_autoencoder(args.checkpoint).to(memory_format=torch.contiguous_format)
    autoencoder.requires_grad_(True)
    torch.manual_seed(0)
    decoder = TemporalDecoder(DecoderConfig(TAESD, base="toy"))
    log.info("%d weights", sum(p.numel() for p in decoder.parameters()))
    train_decoder(
        decoder,
        lambda latents, decoder: decode(autoencoder, latents, decoder),
        lambda step: draw(autoencoder, step, "train", args.noise, 8),
        args.steps,
    )
    for noise in (0.0, args.noise):
        before, after = (measure(autoencoder, layers, noise, args.clips) for layers in (None, decoder))
        log.info(
            "latent noise %.2f: flicker %.3f -> %.3f, error %.3f -> %.3f of 255",
            noise,
            before[0],
            after[0],
            before[1],
            after[1],
        )
    half = TemporalDecoder(decoder.config, dtype=torch.float16)
    half.load_state_dict(decoder.state_dict())
    save_decoder(args.out, half, {"steps": str(args.steps), "latent_noise": str(args.noise)})


if __name__ == "__main__":
    main()
