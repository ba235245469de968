"""The smallest world in which left and right can be learned, and an image model of it.

See benchmarks/toy_world/sense.py.

Latents `(b f 4 2 8)`, text `(b m 48)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from einops import rearrange, reduce
from torch import Tensor, nn

from ...demo.train.common import Average, reset_parameters, set_rate
from ...temporal.stack.plan import UNetShape
from ...temporal.training.noise_levels import stable_diffusion_levels

FRAMES, HEIGHT, WIDTH, RADIUS, GROUPS = 4, 2, 8, 1.1, 8
UNET = UNetShape(32, (1, 2), (1, 1), (1, 1), (1, 1, 1, 1), 1, context_dim=48, num_heads=2)
COLOURS = torch.tensor([[1.0, -1, -1, 0], [-1, 1, -1, 0], [-1, -1, 1, 0]])
# "", colours, left, right
WORDS = torch.randn(6, UNET.context_dim, generator=torch.Generator().manual_seed(5))
PADDING = torch.randn(74, UNET.context_dim, generator=torch.Generator().manual_seed(77))
NOISE = stable_diffusion_levels()
World = Callable[[int, torch.Generator], tuple[Tensor, Tensor, Tensor]]


def norms_of(groups: int, base: Any = nn) -> Any:
    """Layers whose group norms have so many groups, whatever they are asked for."""

    class Layers(base.GroupNorm):
        def __init__(self, num_groups: int, num_channels: int, *args: Any, **kwargs: Any) -> None:
            super().__init__(groups, num_channels, *args, **kwargs)

    if isinstance(base, type):
        return type("Operations", (base,), {"GroupNorm": Layers})
    plain = {name: getattr(base, name) for name in ("Linear", "Conv2d", "LayerNorm", "Embedding")}
    return type("Operations", (), {**plain, "GroupNorm": Layers})


def draw(count: int, dice: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Clips, their colours and whether they go left (0) or right (1), both `(b,)`."""
    colour, way = torch.randint(3, (count,), generator=dice), torch.randint(2, (count,), generator=dice)
    speed = 0.9 + 0.3 * torch.rand(count, generator=dice)
    path, left = speed * (FRAMES - 1), way == 0
    low = torch.where(left, RADIUS + path, torch.full_like(path, RADIUS))
    high = torch.where(left, torch.full_like(path, WIDTH - RADIUS), WIDTH - RADIUS - path)
    start = low + (high - low) * torch.rand(count, generator=dice)
    row = 0.6 + (HEIGHT - 1.2) * torch.rand(count, generator=dice)
    x = start[:, None] + torch.where(left, -1.0, 1.0)[:, None] * speed[:, None] * torch.arange(FRAMES)
    places_x, places_y = torch.arange(WIDTH) + 0.5, torch.arange(HEIGHT) + 0.5
    along = rearrange(x, "b f -> b f 1 1") - places_x
    across = rearrange(places_y, "h -> h 1") - rearrange(row, "b -> b 1 1 1")
    disc = torch.sigmoid((RADIUS - (along**2 + across**2).sqrt()) / 0.25)
    ground = (torch.rand(count, 1, 1, 1, generator=dice) - 0.5) * 0.6
    clips = disc[:, :, None] * rearrange(COLOURS[colour], "b c -> b 1 c 1 1") + (
        (1 - disc[:, :, None]) * ground[..., None]
    )
    clips[:, :, 3] = 2 * disc - 0.5
    return clips, colour, way


def text(colour: Tensor, way: Tensor, dropped: Tensor | None = None) -> Tensor:
    """Three tokens a clip; those of dropped clips say nothing."""
    rows = torch.stack([torch.zeros_like(colour), colour + 1, way + 4], dim=1)
    if dropped is not None:
        rows[dropped] = 0
    return WORDS[rows]


def faint(said: Tensor) -> Tensor:
    """Text as the toy text encoder would say it.

    Left and right differ by 0.43 of their length, among 77 tokens.
    """
    left, right = WORDS[4], WORDS[5]
    middle, apart = (left + right) / 2**0.5, 1.5 * (left - right) / (left - right).norm()
    said = said.clone()
    for word, sign in ((left, 1), (right, -1)):
        said[(said == word).all(-1)] = middle + sign * apart
    return torch.cat([said, PADDING.expand(len(said), -1, -1)], dim=1)


def new_unet(shape: UNetShape = UNET) -> nn.Module:
    """A fresh image model whose residual branches and output start at zero."""
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    sizes = {
        name: list(value) if isinstance(value, tuple) else value for name, value in asdict(shape).items()
    }
    unet = UNetModel(
        image_size=32, out_channels=4, use_spatial_transformer=True, legacy=False, dtype=torch.float32,
        operations=norms_of(GROUPS, comfy.ops.disable_weight_init), **sizes,
    )  # fmt: skip
    reset_parameters(unet)
    for name, part in unet.named_modules():
        if name.endswith(("out_layers.3", "proj_out")) or name == "out.2":
            nn.init.zeros_(part.weight)
            nn.init.zeros_(part.bias)
    return unet


def image_model(
    path: Path, steps: int = 320, batch: int = 64, world: World = draw, shape: UNetShape = UNET
) -> nn.Module:
    """The frozen image model, trained on single frames of a world where there is no file of it yet.

    Half of its texts say no way.
    """
    torch.set_grad_enabled(True)
    torch.manual_seed(1)
    unet, dice = new_unet(shape), torch.Generator().manual_seed(2)
    average = Average(unet, 0.99)
    if not path.exists():
        optimizer = torch.optim.AdamW(unet.parameters(), betas=(0.9, 0.99))
        for step in range(steps):
            decayed = 0.05 + 0.475 * (1 + math.cos(math.pi * step / steps))
            set_rate(optimizer, 2e-3 * min(1, (step + 1) / 50) * decayed)
            clips, colour, way = world(batch, dice)
            x = clips[torch.arange(batch), torch.randint(FRAMES, (batch,), generator=dice)]
            said = text(colour, way, torch.rand(batch, generator=dice) < 0.1)
            said[torch.rand(batch, generator=dice) < 0.5, 2] = WORDS[0]
            t = torch.randint(NOISE.num_steps, (batch,), generator=dice)
            noise = torch.randn(x.shape, generator=dice)
            made = unet(NOISE.add_noise(x, noise, t), t.float(), context=said)
            errors = reduce((made - noise).square(), "b c h w -> b", "mean")
            descend((NOISE.weight(t, 20.0) * errors).mean(), optimizer, unet)
            average.update(unet)
        torch.save(average.module.state_dict(), path)
    unet.load_state_dict(torch.load(path))
    return unet.requires_grad_(False).eval()


def descend(loss: Tensor, optimizer: torch.optim.Optimizer, module: nn.Module) -> None:
    """One step of an optimiser, with the gradient cut to a length of 1."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    optimizer.step()
