"""Guidance towards known frames inside the guidance towards the text."""

import pytest
import torch
from video_ldm.temporal.sampling.guidance import with_context

from ..tiny import normal


@pytest.mark.parametrize("weight", [0.0, 1.0, 7.5])
@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
def test_plain_guidance_of_the_pair_is_the_nested_guidance(weight, scale):
    text_known, text, empty = (normal(3, 4, 2, 2, seed=seed) for seed in range(3))
    positive, negative = with_context(text_known, text, empty, scale)
    nested = empty + weight * (text - empty) + scale * (text_known - text)
    torch.testing.assert_close(negative + weight * (positive - negative), nested, rtol=1e-4, atol=1e-5)
