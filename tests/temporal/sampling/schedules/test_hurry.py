"""A draft's noise levels: the first ones as they are, and few from there to the end."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from video_ldm.temporal.sampling.schedules.hurry import hurried


@pytest.mark.parametrize("steps", [9, 10, 12, 20, 30, 999])
def test_it_begins_alike_and_ends_alike(steps):
    sigmas = torch.cat([torch.linspace(14, 0.03, steps), torch.zeros(1)])
    draft = hurried(sigmas)
    kept = -(-steps // 3)
    assert len(draft) - 1 == kept + 5
    assert torch.equal(draft[: kept + 1], sigmas[: kept + 1]) and draft[-1] == 0
    assert (draft.diff() < 0).all() and set(draft.tolist()) <= set(sigmas.tolist())
    jumps = [sigmas.tolist().index(sigma) for sigma in draft[kept:].tolist()]
    assert max(b - a for a, b in pairwise(jumps)) <= -(-(steps - kept) // 5)


@pytest.mark.parametrize("steps", [1, 2, 5, 8])
def test_what_is_as_short_as_a_draft_stays(steps):
    sigmas = torch.linspace(14, 0, steps + 1)
    assert hurried(sigmas) is sigmas
