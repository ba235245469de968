"""alpha * spatial + (1 - alpha) * temporal."""

import pytest
import torch
from video_ldm.temporal.layers.mixing import blend, effective_alpha, new_mix_factor

from ...reference import mixed
from ..tiny import normal


@pytest.mark.parametrize("logit", [-2.0, 0.0, 0.5])
def test_blend_is_the_papers_equation(logit):
    spatial, temporal, logit = normal(3, 4), normal(3, 4, seed=1), torch.tensor([logit])
    out = blend(spatial, temporal, effective_alpha(logit, None, 1.0))
    torch.testing.assert_close(out, mixed(spatial, temporal, logit))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("logit", [-5.0, -0.3, 0.0, 0.7, 5.0])
def test_blend_of_equals_is_exact(dtype, logit):
    x = (1000 * normal(1000)).to(dtype)
    assert torch.equal(blend(x, x.clone(), effective_alpha(torch.tensor([logit]), None, 1.0)), x)


def test_alpha_1_is_spatial_and_alpha_0_is_temporal_exactly():
    spatial, temporal = normal(100), normal(100, seed=1)
    assert torch.equal(blend(spatial, temporal, torch.tensor([1.0])), spatial)
    assert torch.equal(blend(spatial, temporal, 0.0), temporal)


def test_strength_moves_alpha_towards_the_image_model():
    logit = torch.tensor([0.0])
    assert effective_alpha(logit, None, 1.0).item() == 0.5
    assert effective_alpha(logit, None, 0.5).item() == 0.75
    assert effective_alpha(logit, 0.2, 1.0) == pytest.approx(0.2)
    assert effective_alpha(logit, 0.2, 0.5) == pytest.approx(0.6)


@pytest.mark.parametrize("logit", [None, torch.tensor([0.0])])
def test_a_strength_above_1_goes_on_past_what_was_trained(logit):
    spatial, temporal = normal(3, 4), normal(3, 4, seed=1)
    trained = blend(spatial, temporal, effective_alpha(logit, None, 1.0))
    strong = blend(spatial, temporal, effective_alpha(logit, None, 1.15))
    torch.testing.assert_close(strong, spatial + 1.15 * (trained - spatial))


def test_a_new_layer_mixes_mostly_what_is_new():
    assert effective_alpha(new_mix_factor(), None, 1.0).item() == pytest.approx(0.12, abs=0.005)
