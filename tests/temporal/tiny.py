"""The smallest stack that has everything, with weights that hide no mistake, and clips to put through it."""

import functools
from dataclasses import replace

import torch
from torch import Tensor, nn
from video_ldm.temporal.sampling.clip import Clip
from video_ldm.temporal.stack.plan import Site, UNetShape
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack

SHAPE = UNetShape(
    model_channels=64,
    channel_mult=(1, 2),
    num_res_blocks=(1, 1),
    transformer_depth=(1, 1),
    transformer_depth_output=(1, 1, 1, 1),
    transformer_depth_middle=1,
    context_dim=24,
    num_heads=2,
)
CONFIG = StackConfig(SHAPE, base="tiny", max_frames=8, known_frames=True, frame_rate=True)
SIZES = ((5, 7), (3, 4))  # by level: odd and not square, so that swapped axes fail


def sine_init(module: nn.Module, scale: float = 0.2) -> nn.Module:
    """Weights from one long sine: reproducible, none alike, none zero.

    Ones or the identity would hide errors.
    """
    start, parameters = 0, list(module.parameters())
    curve = _sine(1 << sum(parameter.numel() for parameter in parameters).bit_length())
    with torch.no_grad():
        for parameter in parameters:
            piece = curve[start : start + parameter.numel()]
            parameter.copy_((scale * piece).reshape(parameter.shape))
            start += parameter.numel()
    return module


@functools.cache
def _sine(length: int) -> Tensor:
    return torch.sin(1 + 0.7 * torch.arange(length, dtype=torch.float64))


def new_stack(**changes: object) -> TemporalStack:
    """A fresh stack, seeded."""
    torch.manual_seed(0)
    return TemporalStack(replace(CONFIG, **changes))


def trained_stack(**changes: object) -> TemporalStack:
    """A stack in which every weight matters."""
    return sine_init(new_stack(**changes))


def descend(module: nn.Module) -> set[str]:
    """One step down the gradient; the names of the parameters that had one."""
    learned = {name for name, parameter in module.named_parameters() if parameter.grad.abs().max() > 0}
    with torch.no_grad():
        for parameter in module.parameters():
            parameter -= parameter.grad
    module.zero_grad()
    return learned


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Reproducible normal noise."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def inputs(site: Site, num_frames: int, clips: int = 2) -> dict[str, Tensor]:
    """Values of the host at a site: hidden, time embedding, text."""
    frames, (h, w) = clips * num_frames, SIZES[site.level]
    size = (site.channels, h, w) if site.kind == "conv" else (h * w, site.channels)
    emb = normal(clips, SHAPE.embedding_channels, seed=1).repeat_interleave(num_frames, 0)
    context = normal(clips, 6, SHAPE.context_dim, seed=2).repeat_interleave(num_frames, 0)
    return {"hidden": normal(frames, *size), "emb": emb, "context": context}


def clip_with_known_frames(num_frames: int, clips: int = 2, **settings: object) -> Clip:
    """A clip whose first frame is given."""
    mask = (torch.arange(clips * num_frames) % num_frames == 0).float()
    latents = normal(clips * num_frames, SHAPE.in_channels, *SIZES[0], seed=3)
    return Clip(num_frames, known_latents=latents, known_mask=mask, **settings)


def site_of(kind: str, level: int = 0) -> Site:
    """The first site of a kind at a level."""
    stack = TemporalStack(CONFIG, device="meta")
    return next(site for site in stack.sites if (site.kind, site.level) == (kind, level))
