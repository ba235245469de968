"""Denoising loss of the temporal layers (Video LDM, equations 2 and 3).

Shapes: prediction, target ((b f) c h w); weight ((b f),) or (b,); opposed (o,), numbers of clips.
"""

from __future__ import annotations

from einops import reduce
from torch import Tensor
from torch.nn import functional

MARGIN = 0.01  # share of the error by which the opposite caption should fit worse


def denoising_loss(prediction: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared error over all frames, given ones included, in float32 (scalar).

    Frames can be weighted.
    """
    error = reduce((prediction.float() - target.float()).square(), "n c h w -> n", "mean")
    return (error if weight is None else weight * error).mean()


def contrasted_loss(
    prediction: Tensor, target: Tensor, weight: Tensor, opposed: Tensor, contrast: float
) -> Tensor:
    """Denoising loss of clips, and how little worse those numbered in `opposed` fit their opposite caption.

    The opposed clips come once more after all others, with that caption and the same noise, so that all but
    the words cancels in the difference of the two errors. It counts `contrast` times, as a share of the
    error, until it is above a margin (scalar).
    """
    frames = len(prediction) // len(weight)
    error = reduce((prediction.float() - target.float()).square(), "(b f) c h w -> b", "mean", f=frames)
    error, wrong = error.split([len(error) - len(opposed), len(opposed)])
    loss = weight[: len(error)] * error
    right, scale = error[opposed], loss[opposed].detach()
    gap = (wrong - right) / right.detach()
    missing = scale * MARGIN * functional.softplus(-gap / MARGIN)
    return (loss.sum() + contrast * missing.sum()) / len(error)
