"""Fit the colours of toy latents for previews: two small layers, beside the toy world's pack.

    python -m video_ldm.demo.train.preview

Latents of the toy autoencoder are no linear map of colours, as those of Stable Diffusion nearly are.
Latents `(b 4 h w)`, colours `(b 3 h w)` in -1..1: means of pictures of the toy world over 8 x 8 pixels.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors.torch import save_file
from torch import Tensor, nn

from ..environment import REPO
from .autoencoder import colour, picture_pool
from .common import start_log, use_host

HIDDEN, PICTURES, KEPT_OUT = 32, 160, 32
STEPS, BATCH, RATE = 3000, 16, 3e-3
OUT = REPO / "demo" / "host_pack" / "preview.safetensors"
TOY = REPO / "demo" / "models" / "toy_sd.safetensors"


def main() -> None:
    """Fit on PICTURES - KEPT_OUT pictures and say the error on the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=OUT)
    out = parser.parse_args().out
    log = start_log()
    use_host()
    torch.manual_seed(0)
    latents, colours = _examples()
    net = nn.Sequential(
        nn.Conv2d(4, HIDDEN, 3, padding=1, padding_mode="replicate"), nn.ReLU(), nn.Conv2d(HIDDEN, 3, 1)
    )
    optimizer = torch.optim.Adam(net.parameters(), RATE)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    for _ in range(STEPS):
        chosen = torch.randint(KEPT_OUT, len(latents), (BATCH,))
        loss = _error(net(latents[chosen]), colours[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rates.step()
    with torch.no_grad():
        kept = (net(latents[:KEPT_OUT]) - colours[:KEPT_OUT]).square().mean().sqrt().item()
    log.info("root mean square error of -1..1 on %d pictures that were kept out: %.3f", KEPT_OUT, kept)
    state = {name: value.detach().half().contiguous() for name, value in net.state_dict().items()}
    save_file(state, out)


def _examples() -> tuple[Tensor, Tensor]:
    """Latents of pictures and their mean colours."""
    from .toy_models import encode, load_autoencoder

    autoencoder = load_autoencoder(TOY)
    pictures = rearrange(torch.from_numpy(picture_pool(PICTURES, 5)), "b h w c -> b c h w").float() / 255
    latents = torch.cat([encode(autoencoder, some) for some in pictures.split(BATCH)])
    return latents, 2 * F.avg_pool2d(pictures, 8) - 1


def _error(given: Tensor, target: Tensor) -> Tensor:
    """Square error, heavier on strong colours: most of a picture is grey ground."""
    weight = 1 + 8 * colour(target).abs().amax(1, keepdim=True)
    return (weight * (given - target).square()).mean()


if __name__ == "__main__":
    main()
