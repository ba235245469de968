"""Train the bundled temporal decoder of the toy autoencoder on rendered clips, and measure what it does.

    python -m video_ldm.demo.train.decoder --checkpoint toy_sd.safetensors --out toy_decoder.safetensors

Encoder and decoder stay as they are; only the layers in time train. With --image-decoder the decoder is that
of another autoencoder with the encoder of the checkpoint (`autoencoder --decoder-only`), and what it has of
its own goes into the file. Frames `(f 3 h w)` in 0..1, latents `(f 4
h/8 w/8)`.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from ...temporal.decoder import TAESD, DecoderConfig, TemporalDecoder, save_decoder
from ...temporal.decoder.plan import plan_decoder
from ...temporal.decoder.streaming import AtSite, RunDecoder
from ...temporal.training.checkpoint import load_state, save_state
from ...temporal.training.data.ahead import DrawnAhead
from ...temporal.training.decoder.config import DecoderTrainingConfig
from ...temporal.training.decoder.trainer import DecoderTrainer, flicker_of_error, frozen_for_training
from .. import world
from .autoencoder import GRAIN_SCALE
from .common import half_precision, start_log
from .toy_models import LATENT_SCALE, encode, load_autoencoder

FRAMES, FPS, SIZE = 8, 8.0, 128
SAVE_EVERY = 100


def decoder_of(autoencoder: nn.Module) -> RunDecoder:
    """The toy autoencoder's decoder, open at the places of the temporal layers."""

    def run(latents: Tensor, at_site: AtSite) -> Tensor:
        scaled = (latents / LATENT_SCALE - autoencoder.vae_shift) * autoencoder.vae_scale
        with ExitStack() as hooks, half_precision(latents.device):
            for site in plan_decoder(TAESD):
                handle = autoencoder.get_submodule(site.path).register_forward_hook(
                    lambda _block, _args, output, site=site: at_site(site, output)
                )
                hooks.callback(handle.remove)
            return autoencoder.taesd_decoder(scaled).float()

    return run


def render(
    seed: int, split: world.Split, noise: float, crop: int = SIZE, scale: int = 1
) -> tuple[Tensor, Tensor]:
    """A rendered clip (f 3 crop crop), cut out of one `scale` times as large as usual, and noise for latents.

    The noise is each frame's own. Frames are cropped before they are encoded: latents that are cropped decode
    wrongly along the cuts.
    """
    rng = np.random.default_rng(seed)
    rendered = torch.from_numpy(world.render(world.sample(rng, split), FRAMES, FPS, scale=scale))
    y, x = (int(rng.integers(scale * SIZE - crop + 1)) for _ in range(2))
    cropped = rendered[:, y : y + crop, x : x + crop]
    frames = rearrange(cropped, "f h w c -> f c h w").float().contiguous() / 255
    own = rng.standard_normal((FRAMES, 4, crop // 8, crop // 8), np.float32)
    return frames, noise * torch.from_numpy(own)


def encoded(autoencoder: nn.Module, frames: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Latents of a clip with noise, and its frames, where the autoencoder is."""
    device = autoencoder.vae_scale.device
    frames = frames.to(device, non_blocking=True)
    return encode(autoencoder, frames) + noise.to(device, non_blocking=True), frames


@torch.no_grad()
def measure(
    autoencoder: nn.Module, at_site: AtSite, noise: float, clips: int, scale: int
) -> tuple[float, float]:
    """Flicker, and mean absolute error, over held-out clips, in 255ths."""
    run, values = decoder_of(autoencoder), []
    for number in range(clips):
        latents, frames = encoded(autoencoder, *render(10**6 + number, "test", noise, scale=scale))
        decoded = run(latents, at_site).clamp(0, 1)
        values.append((flicker_of_error(decoded, frames).item(), (decoded - frames).abs().mean().item()))
    return tuple((255 * np.mean(values, 0)).tolist())


def image_only(_site: object, hidden: Tensor) -> Tensor:
    """No layers in time."""
    return hidden


def own_weights(autoencoder: nn.Module, checkpoint: Path) -> dict[str, Tensor]:
    """Weights of an autoencoder that are not those of a checkpoint, in float16: what its decoder learned."""
    theirs = load_autoencoder(checkpoint).state_dict()
    ours = {key: value.cpu() for key, value in autoencoder.state_dict().items()}
    own = {key: value for key, value in ours.items() if not torch.equal(value, theirs[key])}
    return {key: value.half().contiguous() for key, value in own.items()}


def main() -> None:
    args = _arguments()
    log = start_log()
    scale = GRAIN_SCALE if args.grain else 1
    autoencoder = frozen_for_training(
        load_autoencoder(args.image_decoder or args.checkpoint).to(
            args.device, memory_format=torch.contiguous_format
        )
    )
    torch.manual_seed(0)
    decoder = TemporalDecoder(DecoderConfig(TAESD, base="toy")).to(args.device)
    log.info("%d weights", sum(p.numel() for p in decoder.parameters()))
    config = DecoderTrainingConfig(
        num_frames=FRAMES,
        crop=args.crop,
        steps=args.steps,
        learning_rate=args.lr,
        final_learning_rate=args.lr / 20,
        adversarial=args.adversarial,
        adversary_start=args.steps // 4,
        adversary_channels=16,
        adversary_learning_rate=args.adversary_rate,
        latent_noise=args.noise,
    )
    clips = DrawnAhead(
        partial(render, split="train", noise=config.latent_noise, crop=config.crop, scale=scale),
        config.steps,
        args.workers,
    )
    trainer = DecoderTrainer(
        decoder, decoder_of(autoencoder), lambda step: encoded(autoencoder, *clips(step)), config
    )
    state = args.out.with_suffix(".state.pt")
    if args.resume:
        trainer.load_state_dict(load_state(state))

    def after_step(trainer: DecoderTrainer) -> None:
        if trainer.step % SAVE_EVERY == 0 or trainer.step == config.steps:
            save_state(state, trainer.state_dict())

    trainer.run(after_step=after_step)
    with trainer.average.applied_to(trainer.trained):
        for noise in (0.0, args.noise):
            sides = (
                measure(autoencoder, at_site, noise, args.clips, scale) for at_site in (image_only, decoder)
            )
            (flicker_before, error_before), (flicker_after, error_after) = sides
            message = "latent noise %.2f: flicker %.3f -> %.3f, error %.3f -> %.3f of 255"
            log.info(message, noise, flicker_before, flicker_after, error_before, error_after)
        half = TemporalDecoder(decoder.config, dtype=torch.float16)
        half.load_state_dict(decoder.state_dict())
    save_decoder(args.out, half, {"training": config.to_json()}, own_weights(autoencoder, args.checkpoint))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--checkpoint", type=Path, required=True, help="a toy checkpoint or autoencoder file")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--lr", type=float, default=DecoderTrainingConfig.learning_rate)
    parser.add_argument("--crop", type=int, default=DecoderTrainingConfig.crop, help="pixels")
    parser.add_argument("--noise", type=float, default=0.05, help="noise on the latents of each frame")
    parser.add_argument("--adversarial", type=float, default=0.0, help="weight of the clip discriminator")
    parser.add_argument("--adversary-rate", type=float, default=DecoderTrainingConfig.adversary_learning_rate)
    parser.add_argument("--image-decoder", type=Path, help="autoencoder to decode with")
    parser.add_argument("--grain", action="store_true", help="clips of twice the size, with grain")
    parser.add_argument("--device", default="cpu", help="such as cuda")
    parser.add_argument("--workers", type=int, default=0, help="processes that draw clips ahead")
    parser.add_argument("--clips", type=int, default=32, help="held-out clips to measure on")
    parser.add_argument("--resume", action="store_true", help="go on from the state beside --out")
    return parser.parse_args()


if __name__ == "__main__":
    main()
