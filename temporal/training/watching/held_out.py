"""Loss on films that layers are not trained on, with the same noise every time: a curve to trust.

The loss of training jumps with the noise of each step; this one only moves when the layers do.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ..loop import LayersTrainer

LEVELS = (0.1, 0.3, 0.5, 0.7, 0.9)  # shares of the diffusion steps, from little noise to much
MOST_CLIPS = 16


@dataclass(frozen=True)
class HeldOut:
    """Mean loss after a step, and that at each level of noise."""

    step: int
    loss: float
    bands: tuple[float, ...]


@torch.no_grad()
def held_out_loss(trainer: LayersTrainer) -> HeldOut | None:
    """Loss of the averaged weights on clips that are kept out; None where there are none."""
    batches = trainer.batches
    if not len(batches.unseen):
        return None
    steps, bands = batches.noise_levels.num_steps, []
    with trainer.with_average():
        for share in LEVELS:
            clips = batches.unseen_clips(int(share * steps), MOST_CLIPS)
            losses = [(trainer.plain_loss(batch).item(), len(batch.fps)) for batch in clips]
            bands.append(sum(loss * count for loss, count in losses) / sum(count for _, count in losses))
    return HeldOut(trainer.step, sum(bands) / len(bands), tuple(bands))
