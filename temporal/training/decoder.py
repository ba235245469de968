"""Training of a temporal decoder on clips: reconstruction and steadiness (paper section 3.1.1, without its discriminator).

Shapes: latents (f c h w); frames, decoded (f 3 8h 8w) in 0..1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from ..decoder import TemporalDecoder
from .ema import ExponentialMovingAverage
from .schedule import learning_rate

logger = logging.getLogger(__name__)

Decode = Callable[[Tensor, TemporalDecoder], Tensor]
Draw = Callable[[int], tuple[Tensor, Tensor]]


def decoder_loss(decoded: Tensor, frames: Tensor, steadiness: float = 2.0) -> Tensor:
    """Mean absolute error, plus `steadiness` times that of the changes from frame to frame (scalar)."""
    return (decoded - frames).abs().mean() + steadiness * flicker(decoded, frames)


def flicker(decoded: Tensor, frames: Tensor) -> Tensor:
    """Mean absolute change of the error from frame to frame: what flickers although the clip does not (scalar)."""
    return (decoded - frames).diff(dim=0).abs().mean()


def train_decoder(
    decoder: TemporalDecoder,
    decode: Decode,
    draw: Draw,
    steps: int,
    peak: float = 2e-5,
    ema: float = 0.99,
) -> list[float]:
    """Train a temporal decoder in place and leave its averaged weights in it; returns the loss of every step.

    `decode` is the image model's frozen decoder with the temporal layers inside, `draw` gives the latents and frames
    of a step. Only the temporal decoder's parameters are given to the optimiser. A decoder is touchy: at ten times
    the default rate it ends worse than without layers.
    """
    optimizer = torch.optim.AdamW(decoder.parameters(), peak, betas=(0.9, 0.99), weight_decay=0.0)
    average = ExponentialMovingAverage(decoder, ema)
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, peak, peak / 20, warmup=min(100, steps // 4 + 1), total=steps)
        latents, frames = draw(step)
        loss = decoder_loss(decode(latents, decoder).float(), frames)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        average.update(decoder)
        losses.append(loss.item())
        if (step + 1) % 50 == 0:
            logger.info("step %d of %d, loss %.4f", step + 1, steps, sum(losses[-50:]) / 50)
    decoder.load_state_dict(average.average)
    return losses
