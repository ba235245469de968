"""Finite numbers, beside a look at each of them."""

from __future__ import annotations

import math

import pytest
import torch
from video_ldm.temporal.finite import is_finite

KINDS = [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", [0, 500, 999])
@pytest.mark.parametrize("odd", [(math.nan,), (math.inf,), (-math.inf,), (math.inf, -math.inf)])
def test_one_number_that_is_none_is_found_wherever_it_is(kind, place, odd):
    if kind == torch.float8_e4m3fn:
        odd = (math.nan,)  # it has no infinity
    numbers = torch.randn(1000)
    assert is_finite(numbers.to(kind))
    numbers[[(place + 300 * step) % 1000 for step in range(len(odd))]] = torch.tensor(odd)
    assert not is_finite(numbers.to(kind))


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_numbers_whose_sum_is_too_large_are_finite_all_the_same(kind):
    assert is_finite(torch.full((10, 100), torch.finfo(kind).max, dtype=kind))


def test_no_numbers_whole_numbers_and_complex_ones():
    assert is_finite(torch.empty(0, 3)) and is_finite(torch.arange(5)) and is_finite(torch.ones(3) * 1j)
    assert not is_finite(torch.tensor([1.0, complex(0, math.inf)]))
