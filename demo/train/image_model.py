"""Train the toy text encoder and UNet together, from nothing, on single frames of the cached clips.

    python -m video_ldm.demo.train.image_model --clips clips --autoencoder autoencoder.safetensors
        --out toy_sd.safetensors

Latents `(b 4 16 16)`; noise prediction on the schedule of SD 1.x; one text in ten is empty, half of the
others say how the scene moves. A small extra task, naming that motion from the text, keeps the words for it
apart in the text encoder.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from ...temporal.training.checkpoint import save_state
from .common import Average, cosine, half_precision, set_rate, start_log, use_host
from .toy_models import TextEncoder, load_autoencoder, load_parts, new_unet, save_checkpoint

MOTION = re.compile(r"(moving|circling|panning|zooming|standing) (\w+)|(road)")


@dataclass(frozen=True)
class Captions:
    """Every caption as token numbers.

    `(n 77)` each with and without motion, the empty one `(77,)`, and a motion label `(n,)`.
    """

    moving: Tensor
    plain: Tensor
    empty: Tensor
    motion: Tensor
    tokens: list[int]


def read_captions(path: Path) -> Captions:
    """Tokenise the captions of a clip cache with the host's CLIP tokenizer."""
    use_host()
    from comfy.sd1_clip import SD1Tokenizer

    tokenizer = SD1Tokenizer()
    pairs = json.loads(path.read_text())
    known = {text: None for pair in pairs for text in pair} | {"": None}
    known = {text: [token for token, _ in tokenizer.tokenize_with_weights(text)["l"][0]] for text in known}
    tokens = sorted({token for row in known.values() for token in row})
    number = {token: index for index, token in enumerate(tokens)}
    rows = {text: torch.tensor([number[token] for token in row]) for text, row in known.items()}
    names = ["".join(word or "" for word in MOTION.search(moving).groups()) for moving, _ in pairs]
    labels = sorted(set(names))
    return Captions(
        moving=torch.stack([rows[moving] for moving, _ in pairs]),
        plain=torch.stack([rows[plain] for _, plain in pairs]),
        empty=rows[""],
        motion=torch.tensor([labels.index(name) for name in names]),
        tokens=tokens,
    )


class Model(nn.Module):
    """All networks that are trained together.

    The reader names the motion from the last text token and is thrown away afterwards.
    """

    def __init__(self, tokens: list[int], motions: int) -> None:
        super().__init__()
        self.unet = new_unet()
        self.text = TextEncoder(tokens)
        self.reader = nn.Linear(48, motions)


def schedule() -> Tensor:
    """The share of signal variance left after each step with SD 1.x's scaled-linear betas (1000,)."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    return (1 - betas).cumprod(0).float()


def plain_attention(
    _: object, q: Tensor, k: Tensor, v: Tensor, heads: int, *args: object, **kwargs: object
) -> Tensor:
    """Attention by two matrix products, q, k, v `(b n (h d))`.

    For short sequences on a CPU several times faster.
    """
    q, k, v = (rearrange(x, "b n (h d) -> (b h) n d", h=heads) for x in (q, k, v))
    weights = (q * q.shape[-1] ** -0.5 @ k.mT).softmax(-1).to(v.dtype)
    return rearrange(weights @ v, "(b h) n d -> b n (h d)", h=heads)


FAST_ATTENTION = {"optimized_attention_override": plain_attention}


def loss_of(
    model: Model, latents: Tensor, rows: Tensor, says_motion: Tensor, motion: Tensor, alphas: Tensor
) -> Tensor:
    """Noise-prediction error, weighted by min-SNR-5 (arXiv 2303.09556), plus the reader's error."""
    times = torch.randint(0, len(alphas), (len(latents),), device=latents.device)
    share = alphas[times].view(-1, 1, 1, 1)
    noise = torch.randn_like(latents)
    noisy = share.sqrt() * latents + (1 - share).sqrt() * noise
    text = model.text(rows)
    options = FAST_ATTENTION if latents.device.type == "cpu" else {}
    with half_precision(latents.device):
        given = model.unet(noisy, times.float(), context=text, transformer_options=options)
    error = (given.float() - noise).square().mean((1, 2, 3))
    ratio = (share / (1 - share)).flatten()
    loss = (error * ratio.clamp(max=5) / ratio).mean()
    named = F.cross_entropy(model.reader(text[:, -1].float()), motion, reduction="none")
    return loss + 0.02 * (named * says_motion).sum() / says_motion.sum().clamp(min=1)


class Frames:
    """Random single frames of a clip cache that may still be growing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.latents = np.load(folder / "latents.npy", mmap_mode="r")
        self.captions = read_captions(folder / "captions.json")

    def draw(self, rng: np.random.Generator, batch: int, ready: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Latents, token rows, which of these say how it moves, and the labels of the motions.

        Latents `(b 4 16 16)`, rows `(b 77)`, the others `(b,)`.
        """
        index = np.sort(rng.integers(ready, size=batch))
        frames = rng.integers(self.latents.shape[1], size=batch)
        latents = torch.from_numpy(self.latents[index, frames]).float()
        kind = torch.from_numpy(rng.random(batch))
        rows = torch.where((kind < 0.55)[:, None], self.captions.moving[index], self.captions.plain[index])
        rows[kind > 0.9] = self.captions.empty
        return latents, rows, kind < 0.55, self.captions.motion[index]

    def ready(self) -> int:
        return json.loads((self.folder / "ready.json").read_text())["clips"]


def train(args: argparse.Namespace) -> None:
    log = start_log()
    torch.manual_seed(args.seed)
    frames = Frames(args.clips)
    autoencoder = load_autoencoder(args.autoencoder)
    torch.set_grad_enabled(True)
    model = Model(frames.captions.tokens, int(frames.captions.motion.max()) + 1).to(args.device)
    if args.init:
        load_parts(args.init, model.unet, model.text)
    average = Average(model, args.decay)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, betas=(0.9, 0.99), weight_decay=0.01)
    first = 0
    if args.state.exists():
        state = torch.load(args.state)
        model.load_state_dict(state["model"])
        average.module.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        first = average.updates = state["step"]
        torch.manual_seed(args.seed + first)
    if args.freeze_text:
        model.text.load_state_dict(average.module.text.state_dict())
        model.text.requires_grad_(False)
    alphas = schedule().to(args.device)
    began, recent = time.monotonic(), []
    log.info(
        "%.2f M weights, %d tokens",
        sum(p.numel() for p in model.parameters()) / 1e6,
        len(frames.captions.tokens),
    )
    for step in range(first, args.steps):
        if step == first or step % 20 == 0:
            ready = frames.ready()
        drawn = frames.draw(np.random.default_rng((args.seed, step)), args.batch, ready)
        batch = (tensor.to(args.device, non_blocking=True) for tensor in drawn)
        set_rate(optimizer, cosine(step, args.steps, args.rate, args.warmup))
        loss = loss_of(model, *batch, alphas)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        average.update(model)
        recent.append(loss.detach())
        if (step + 1) % 50 == 0:
            pace = (time.monotonic() - began) / (step - first + 1)
            log.info("step %d loss %.4f clips %d %.3f s", step + 1, torch.stack(recent).mean(), ready, pace)
            recent.clear()
        if (step + 1) % args.every == 0 or step + 1 == args.steps:
            save_state(args.state, {"model": model.state_dict(), "average": average.module.state_dict(),
                                    "optimizer": optimizer.state_dict(), "step": step + 1})  # fmt: skip
            save_checkpoint(args.out, average.module.unet, average.module.text, autoencoder)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Options of `train` from a command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True, help="folder written by demo.train.clips")
    parser.add_argument("--autoencoder", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="checkpoint to write")
    parser.add_argument("--state", type=Path, help="file to resume from; next to --out by default")
    parser.add_argument("--init", type=Path, help="a toy checkpoint to start from")
    parser.add_argument(
        "--freeze-text", action="store_true", help="train on with the averaged text encoder as it is"
    )
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=200)
    parser.add_argument("--device", default="cpu", help="such as cuda")
    parser.add_argument("--decay", type=float, default=0.998)
    parser.add_argument("--every", type=int, default=500, help="steps between files")
    parser.add_argument("--seed", type=int, default=2)
    args = parser.parse_args(arguments)
    args.state = args.state or args.out.with_suffix(".state.pt")
    return args


if __name__ == "__main__":
    train(parse())
