"""The mix of the image model's path with the temporal path, and the zero start of new layers."""

from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)

# alpha = 0.12. A new layer is silent because its output is zero, not because of alpha, so it learns at full
# rate.
INITIAL_MIX_FACTOR = -2.0


def new_mix_factor(
    dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> nn.Parameter:
    """The logit of a new layer's alpha, (1,)."""
    return nn.Parameter(torch.full((1,), INITIAL_MIX_FACTOR, dtype=dtype, device=device))


def effective_alpha(
    mix_factor: Tensor | None, override: float | None, strength: float | Tensor
) -> Tensor | float:
    """alpha = sigmoid(mix_factor), or the override.

    A strength below 1 moves it towards 1 (the image model), one above 1 away.

    Without a mix factor alpha is 0: the layer was trained to have its full say.
    """
    trained = 0.0 if mix_factor is None else torch.sigmoid(mix_factor.float())
    return 1 - strength * (1 - (trained if override is None else override))


def blend(spatial: Tensor, temporal: Tensor, alpha: Tensor | float) -> Tensor:
    """alpha * spatial + (1 - alpha) * temporal, computed as spatial + (1 - alpha) * (temporal - spatial).

    Exactly `spatial` where the two are equal or alpha is 1; below 0 it goes on past `temporal`. Both have the
    same shape; alpha is a number or (1,).
    """
    if not isinstance(alpha, Tensor) and alpha == 0:
        return temporal
    weight = 1 - alpha
    return torch.lerp(spatial, temporal, weight.to(spatial) if isinstance(weight, Tensor) else weight)


def zero_init(module: M) -> M:
    """Set all weights to zero, so that a new residual branch adds nothing."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module
