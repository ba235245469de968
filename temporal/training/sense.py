"""A check that layers know which way time runs, in seconds instead of by sampling clips.

A held-out clip with fixed noise is denoised twice: with its caption, and with the caption of the same clip
played backwards. The layers know what the words mean where the right one leaves the smaller error; a coin
does in half of the clips. It is asked at several noise levels: at the noisiest only the text can tell,
further down the clip itself shows its motion.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt

import torch
from einops import reduce
from torch import Tensor

from .data.batches import Batch
from .loop import LayersTrainer

# shares of the diffusion steps, and of the signal that is left in the noise; the first is pure noise
LEVELS = ((1.0, 0.0), (0.95, 1.0), (0.9, 1.0), (0.85, 1.0), (0.75, 1.0))


@dataclass(frozen=True)
class SenseCheck:
    """Results of the check by noise level.

    The share of clips that the right word fits better, and by how much less the error is, of the error.
    """

    step: int
    clips: int
    known: tuple[float, ...]
    gap: tuple[float, ...]

    @property
    def least_known(self) -> float:
        """The share at the level where it is smallest."""
        return min(self.known)

    def __str__(self) -> str:
        levels = ("pure noise", *(f"t = {share:.2f}" for share, _ in LEVELS[1:]))
        shares = ", ".join(f"{level} {share:.2f}" for level, share in zip(levels, self.known, strict=True))
        return (
            f"right word over opposite word, {self.clips} clips (a coin: 0.50 +- "
            f"{1 / sqrt(self.clips):.2f}): {shares}"
        )


@torch.no_grad()
def check_sense(trainer: LayersTrainer) -> SenseCheck:
    """Ask the averaged layers of a training about the clips it holds out (`TrainingConfig.check_clips`)."""
    steps, batches = trainer.batches.noise_levels.num_steps, trainer.batches
    known, gap = [], []
    with trainer.with_average():
        for share, signal in LEVELS:
            errors = []
            for batch, opposite in batches.checks(min(int(share * steps), steps - 1), signal):
                pair = [_errors(trainer, batch), _errors(trainer, replace(batch, text=opposite))]
                errors.append(torch.stack(pair))
            right, wrong = torch.cat(errors, dim=1).double()
            known.append((right < wrong).double().mean().item())
            gap.append(((wrong - right).mean() / right.mean()).item())
    return SenseCheck(trainer.step, len(batches.held_out), tuple(known), tuple(gap))


def _errors(trainer: LayersTrainer, batch: Batch) -> Tensor:
    prediction, target = trainer.prediction_and_target(batch)
    squared = (prediction.float() - target.float()).square()
    return reduce(squared, "(b f) c h w -> b", "mean", f=batch.num_frames).cpu()
