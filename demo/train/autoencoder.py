"""Train the toy autoencoder: the host's TAESD layout, f8, 4 channels, on still pictures of the toy world.

    python -m video_ldm.demo.train.autoencoder --out autoencoder.safetensors

Pictures `(b 3 h w)` in 0..1, latents `(b 4 h/8 w/8)` with about unit variance in every channel. With
--decoder-only the encoder of --init stays as it is, so that latents made with it remain valid.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors.torch import load_file
from torch import Tensor, nn

from ...temporal.training.checkpoint import save_state
from .. import world
from .common import Average, cosine, half_precision, save_half, set_rate, start_log
from .toy_models import new_autoencoder


def picture_pool(count: int, seed: int) -> np.ndarray:
    """Single frames of training scenes, `(count, 128, 128, 3)` uint8."""
    rng = np.random.default_rng(seed)
    scenes = (world.sample(rng) for _ in range(count))
    return np.stack([world.render(scene, 1, start=rng.uniform(0, 1.8))[0] for scene in scenes])


def draw_batch(pool: np.ndarray, rng: np.random.Generator, batch: int, side: int) -> Tensor:
    """Random crops of the pool, `(batch 3 side side)` in 0..1."""
    crops = []
    for index in rng.integers(len(pool), size=batch):
        y, x = rng.integers(0, pool.shape[1] - side + 1, size=2)
        crops.append(pool[index, y : y + side, x : x + side])
    pictures = rearrange(torch.from_numpy(np.stack(crops)), "b h w c -> b c h w").float() / 255
    return pictures.contiguous(memory_format=torch.channels_last)


def edges(pictures: Tensor) -> tuple[Tensor, Tensor]:
    return pictures[..., 1:] - pictures[..., :-1], pictures[..., 1:, :] - pictures[..., :-1, :]


def colour(pictures: Tensor) -> Tensor:
    """Colour of a picture without its brightness."""
    return pictures - pictures.mean(1, keepdim=True)


def reconstruction_loss(given: Tensor, target: Tensor) -> Tensor:
    """Error of values, of colours and of edges, at full, half and quarter size, heavier on strong colours.

    Most of a picture is grey ground: without that weight, colours are what an autoencoder gives up or merges
    first.
    """
    loss = given.new_zeros(())
    for level in range(3):
        if level:
            given, target = F.avg_pool2d(given, 2), F.avg_pool2d(target, 2)
        weight = 1 + 12 * colour(target).abs().amax(1, keepdim=True)
        error = (given - target).abs() + 2 * (colour(given) - colour(target)).abs()
        loss = loss + (weight * (error + 4 * (given - target).square())).mean()
        loss = loss + sum(F.l1_loss(a, b) for a, b in zip(edges(given), edges(target), strict=True))
    return loss


def latent_loss(latents: Tensor) -> Tensor:
    """Distance of each channel from mean 0 and standard deviation 1 over the batch."""
    flat = rearrange(latents, "b c h w -> c (b h w)")
    return (
        flat.mean(1).square().mean()
        + (flat.std(1) - 1).square().mean()
        + 0.02 * (flat.abs() - 3).relu().mean()
    )


def train(args: argparse.Namespace) -> None:
    log = start_log()
    torch.manual_seed(args.seed)
    model = new_autoencoder()
    state = torch.load(args.state) if args.state.exists() else None
    if args.init:
        model.load_state_dict({key: value.float() for key, value in load_file(args.init).items()})
    model.taesd_encoder.requires_grad_(not args.decoder_only)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=args.rate, betas=(0.9, 0.98), weight_decay=1e-4)
    average = Average(model, 0.997)
    first = 0
    if state:
        model.load_state_dict(state["model"])
        average.module.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first = average.updates = state["step"]
    pool = picture_pool(args.pictures, args.seed)
    began = time.monotonic()
    for step in range(first, args.steps):
        rng = np.random.default_rng((args.seed, step))
        whole = step > 0.85 * args.steps
        pictures = draw_batch(pool, rng, args.batch // 4 if whole else args.batch, 128 if whole else 64)
        set_rate(optimizer, cosine(step, args.steps, args.rate))
        with half_precision(torch.device("cpu")):
            latents = model.taesd_encoder(pictures).float()
            noise = torch.randn_like(latents) * args.noise
            given = model.taesd_decoder(latents + noise).float()
        error = reconstruction_loss(given, pictures)
        loss = error if args.decoder_only else error + 0.02 * latent_loss(latents)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
        average.update(model)
        if step % 50 == 0:
            mse = F.mse_loss(given, pictures).item()
            spread = rearrange(latents, "b c h w -> c (b h w)").std(1).tolist()
            pace = (time.monotonic() - began) / (step - first + 1)
            log.info(
                "step %d loss %.4f mse %.5f std %s %.3f s", step, error.item(), mse, np.round(spread, 2), pace
            )
        if (step + 1) % 500 == 0 or step + 1 == args.steps:
            save_state(args.state, {"model": model.state_dict(), "average": average.module.state_dict(),
                                    "optimizer": optimizer.state_dict(), "step": step + 1})  # fmt: skip
            save_half(args.out, average.module.state_dict(), {"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--state", type=Path, help="file to resume from; next to --out by default")
    parser.add_argument("--init", type=Path, help="weights to start from")
    parser.add_argument("--decoder-only", action="store_true", help="leave the encoder as it is")
    parser.add_argument("--steps", type=int, default=3600)
    parser.add_argument("--batch", type=int, default=16, help="crops of 64 x 64 a step")
    parser.add_argument("--rate", type=float, default=7e-4)
    parser.add_argument("--noise", type=float, default=0.08, help="noise on the latents while training")
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.state = args.state or args.out.with_suffix(".state.pt")
    train(args)


if __name__ == "__main__":
    main()
