"""Numbers by which a state knows the weights that it was made beside."""

from __future__ import annotations

import torch
from torch import nn
from video_ldm.temporal.training.watching.frozen import PER_WEIGHT, are_others, some_numbers


def make() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(4, 8, 3), nn.Linear(1, 3), nn.GroupNorm(2, 8))


def test_the_same_weights_in_another_precision_are_the_same():
    numbers = some_numbers(make())
    assert numbers.shape == (PER_WEIGHT + 3,)  # a small weight has fewer; biases and norms are left out
    for dtype in (torch.float16, torch.bfloat16):
        assert not are_others(numbers, some_numbers(make().to(dtype)))


def test_other_weights_are_others():
    numbers, changed = some_numbers(make()), make()
    with torch.no_grad():
        changed[0].weight.mul_(1.02)
    assert are_others(numbers, some_numbers(changed))
    assert are_others(numbers, some_numbers(make(), make()))
