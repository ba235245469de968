"""Train the toy autoencoder: the host's TAESD layout, f8, 4 channels, on still pictures of the toy world.

    python -m video_ldm.demo.train.autoencoder --out autoencoder.safetensors

With --decoder-only the encoder of --init stays as it is, so that latents made with it remain valid. With
--grain the pictures are drawn twice as large, where the ground has a grain that latents cannot hold, and
with --adversarial a picture discriminator asks for it: the decoder learns to invent it, as Stable
Diffusion's was taught to (arXiv 2112.10752, section 3.1), and invents another one for other latents.

Pictures `(b 3 h w)` in 0..1, latents `(b 4 h/8 w/8)` with about unit variance in every channel.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ...temporal.training.checkpoint import save_state
from ...temporal.training.decoder.adversary import Adversary, gradient_at
from .. import world
from .common import Average, cosine, half_precision, save_half, set_rate, start_log
from .toy_models import load_autoencoder, new_autoencoder

GRAIN_SCALE = 2  # the ground's grain has one speck to a pixel then
SAVE_EVERY = 100
ADVERSARY_START = 30  # steps that the discriminator learns before the decoder heeds it


def picture_pool(count: int, seed: int, scale: int = 1) -> np.ndarray:
    """Single frames of training scenes, `(count, 128 scale, 128 scale, 3)` uint8."""
    rng = np.random.default_rng(seed)
    scenes = (world.sample(rng) for _ in range(count))
    return np.stack([world.render(scene, 1, start=rng.uniform(0, 1.8), scale=scale)[0] for scene in scenes])


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


class PictureDiscriminator(nn.Sequential):
    """Scores `(b 1 h/4 w/4)` for patches of pictures in 0..1, high where their finest detail looks drawn.

    It sees what every pixel has that its neighbours have not, eight times as strong: from pictures as they
    are it took hundreds of steps to notice a grain, and meanwhile pushed at their colours. Without norms,
    which would hide how strong the grain is.
    """

    def __init__(self, channels: int = 32) -> None:
        super().__init__(
            nn.Conv2d(3, channels, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(channels, 2 * channels, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * channels, 2 * channels, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * channels, 1, 3, padding=1),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        return super().forward(8 * (pictures - F.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)))


class Training:
    """An autoencoder in training, with the average of its weights, its optimizer and its adversary."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.step = args, 0
        self.model = load_autoencoder(args.init).requires_grad_(True) if args.init else new_autoencoder()
        self.model.taesd_encoder.requires_grad_(not args.decoder_only)
        for layer in list(self.model.taesd_decoder)[: args.keep_layers]:
            layer.requires_grad_(False)
        self.weights = [p for p in self.model.parameters() if p.requires_grad]
        momentum = 0.5 if args.adversarial else 0.9
        self.optimizer = torch.optim.AdamW(
            self.weights, lr=args.rate, betas=(momentum, 0.98), weight_decay=1e-4
        )
        self.adversary = Adversary(PictureDiscriminator(), args.adversary_rate) if args.adversarial else None
        self.average = Average(self.model, args.average)
        self.pool = picture_pool(args.pictures, args.seed, GRAIN_SCALE if args.grain else 1)

    def draw(self) -> Tensor:
        """Pictures of a step, always the same ones: crops; larger ones in the end where none competes."""
        args, rng = self.args, np.random.default_rng((self.args.seed, self.step))
        if self.step > 0.85 * args.steps and self.adversary is None:
            return draw_batch(self.pool, rng, args.batch // 4, 128)
        return draw_batch(self.pool, rng, args.batch, 64)

    def train_step(self) -> dict[str, Any]:
        """One step of the autoencoder, then one of its adversary: measures for the log."""
        args, pictures = self.args, self.draw()
        set_rate(self.optimizer, cosine(self.step, args.steps, args.rate))
        with half_precision(torch.device("cpu")):
            latents = self.model.taesd_encoder(pictures).float()
            noise = torch.randn_like(latents) * args.noise
            given = self.model.taesd_decoder(latents + noise).float()
        # both losses pull at the pictures: there the adversary's pull is made as strong as the other
        seen = given.detach().requires_grad_()
        error = reconstruction_loss(seen, pictures)
        gradient = gradient_at(seen, error)
        if self.adversary is not None and self.step >= ADVERSARY_START:
            gradient = gradient + args.adversarial * self.adversary.push(seen, gradient)
        self.optimizer.zero_grad(set_to_none=True)
        if not args.decoder_only:
            (0.02 * latent_loss(latents)).backward(retain_graph=True)
        given.backward(gradient)
        nn.utils.clip_grad_norm_(self.weights, 1.0)
        self.optimizer.step()
        self.average.update(self.model)
        if self.adversary is not None:
            self.adversary.train_step(seen.detach(), pictures)
        self.step += 1
        spread = rearrange(latents, "b c h w -> c (b h w)").std(1).tolist()
        mse = F.mse_loss(seen, pictures).item()
        return {"loss": round(error.item(), 4), "mse": round(mse, 5), "std": np.round(spread, 2).tolist()}

    def state_dict(self) -> dict[str, Any]:
        """Everything that a run goes on from."""
        states = {name: part.state_dict() for name, part in self._parts().items()}
        return {**states, "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a run that was stopped."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self.step = self.average.updates = state["step"]

    def _parts(self) -> dict[str, Any]:
        parts = {"model": self.model, "average": self.average.module, "optimizer": self.optimizer}
        if self.adversary is not None:
            parts["discriminator"] = self.adversary.discriminator
            parts["adversary_optimizer"] = self.adversary.optimizer
        return parts


def train(args: argparse.Namespace) -> None:
    """Train for the steps that are asked for, on from the state where there is one."""
    log = start_log()
    torch.manual_seed(args.seed)
    training = Training(args)
    if args.state.exists():
        training.load_state_dict(torch.load(args.state))
    first, began = training.step, time.monotonic()
    while training.step < args.steps:
        step, measures = training.step, training.train_step()
        if step % 50 == 0:
            pace = (time.monotonic() - began) / (training.step - first)
            log.info("step %d %s %.3f s", step, measures, pace)
        if training.step % SAVE_EVERY == 0 or training.step == args.steps:
            save_state(args.state, training.state_dict())
            save_half(args.out, training.average.module.state_dict(), {"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--state", type=Path, help="file to resume from; next to --out by default")
    parser.add_argument("--init", type=Path, help="autoencoder or checkpoint to start from")
    parser.add_argument("--decoder-only", action="store_true", help="leave the encoder as it is")
    parser.add_argument(
        "--keep-layers", type=int, default=0, help="first layers of the decoder that stay as they are, too"
    )
    parser.add_argument("--grain", action="store_true", help="pictures of twice the size, with grain")
    parser.add_argument("--adversarial", type=float, default=0.0, help="weight of a picture discriminator")
    parser.add_argument("--adversary-rate", type=float, default=5e-4)
    parser.add_argument("--steps", type=int, default=3600)
    parser.add_argument("--batch", type=int, default=16, help="crops of 64 x 64 a step")
    parser.add_argument("--rate", type=float, default=7e-4)
    parser.add_argument("--average", type=float, default=0.997, help="of the weights, decay a step")
    parser.add_argument("--noise", type=float, default=0.08, help="noise on the latents while training")
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.state = args.state or args.out.with_suffix(".state.pt")
    train(args)


if __name__ == "__main__":
    main()
