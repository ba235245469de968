"""Train the toy world's classifier on pictures as rendered and as the toy autoencoder gives them back.

    python -m video_ldm.demo.train.classifier --autoencoder toy_sd.safetensors
        --out toy_classifier.safetensors

Pictures `(b 3 128 128)` in 0..1. Scenes of both splits: the classifier is a measuring tool, not a thing that
is measured.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .. import world
from ..world.classifier import LABELS, Classifier, to_pictures
from .common import cosine, save_half, set_rate, start_log
from .toy_models import decode, encode, load_autoencoder


def make_pictures(count: int, seed: int) -> tuple[np.ndarray, dict[str, Tensor]]:
    """Single frames `(count 128 128 3)` uint8 of scenes with one shape, and the number of each label."""
    rng = np.random.default_rng(seed)
    motions = ["left", "right", "up", "down", "clockwise", "camera"]
    scenes = [world.sample(rng, "test" if n % 8 == 0 else "train", motions[n % 6]) for n in range(count)]
    frames = np.stack([world.render(scene, 1, start=rng.uniform(0, 1.8))[0] for scene in scenes])
    labels = {
        key: torch.tensor([names.index(getattr(scene, key)) for scene in scenes])
        for key, names in LABELS.items()
    }
    return frames, labels


def through(autoencoder: torch.nn.Module, frames: np.ndarray) -> np.ndarray:
    """Frames as the autoencoder gives them back."""
    parts = []
    for start in range(0, len(frames), 32):
        pictures = decode(autoencoder, encode(autoencoder, to_pictures(frames[start : start + 32])))
        parts.append((pictures * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(parts)


def train(args: argparse.Namespace) -> None:
    log = start_log()
    torch.manual_seed(args.seed)
    frames, labels = make_pictures(args.pictures, args.seed)
    half = args.pictures // 2
    frames[:half] = through(load_autoencoder(args.autoencoder), frames[:half])
    torch.set_grad_enabled(True)
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    rng = np.random.default_rng(args.seed)
    tests = np.arange(args.pictures) % 16 == 0
    for step in range(args.steps):
        index = rng.choice(np.nonzero(~tests)[0], size=64)
        pictures = to_pictures(frames[index])
        pictures = (pictures + 0.03 * torch.randn_like(pictures)).clamp(0, 1)
        set_rate(optimizer, cosine(step, args.steps, args.rate, warmup=50))
        loss = sum(F.cross_entropy(scores, labels[key][index]) for key, scores in model(pictures).items())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 100 == 0:
            log.info("step %d loss %.3f", step + 1, loss.item())
    with torch.no_grad():
        scores = model(to_pictures(frames[tests]))
    for key, value in scores.items():
        log.info("%s right in %.1f %%", key, 100 * (value.argmax(1) == labels[key][tests]).float().mean())
    save_half(args.out, model.state_dict(), {"format": "pt"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--autoencoder", type=Path, required=True, help="a toy checkpoint or autoencoder file"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=4)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
