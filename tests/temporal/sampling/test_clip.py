"""The state of a call."""

import pytest
import torch
from einops import rearrange
from video_ldm.temporal.errors import InvalidInputError
from video_ldm.temporal.sampling.clip import Clip, sdpa

from ..tiny import normal

CPU = torch.device("cpu")


def test_the_more_specific_alpha_wins():
    clip = Clip(3, alphas={"input": 0.2, "input.1": 0.7})
    assert clip.alpha("input", 0) == 0.2
    assert clip.alpha("input", 1) == 0.7
    assert clip.alpha("output", 1) is None


def test_positions_are_relative_to_the_centre_of_the_window():
    assert Clip(4).centred_positions(CPU).tolist() == [-1.5, -0.5, 0.5, 1.5]
    assert Clip(1).centred_positions(CPU).tolist() == [0]
    later = Clip(3, positions=torch.tensor([10.0, 10.5, 12.0]))
    assert later.centred_positions(CPU).tolist() == [-1.0, -0.5, 1.0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_frames": 0}, "at least one frame, but num_frames is 0"),
        ({"num_frames": 3, "fps": 0}, "above 0 frames per second, but fps is 0"),
        ({"num_frames": 3, "known_mask": torch.ones(3)}, "need both: latents, and a mask"),
        (
            {"num_frames": 3, "alphas": {"down.1": 0}},
            'alpha is set for "down.1", but the sections are input, ',
        ),
    ],
)
def test_impossible_clips_are_refused(settings, message):
    with pytest.raises(InvalidInputError, match=message):
        Clip(**settings)


def test_default_attention_is_softmax_attention_per_head():
    q, k, v = (normal(2, n, 6, seed=n) for n in (3, 5, 5))
    v = normal(2, 5, 6, seed=9)
    mask = normal(3, 5, seed=4)
    out = sdpa(q, k, v, 2, mask=mask)
    for head in (slice(0, 3), slice(3, 6)):
        weights = torch.softmax(q[..., head] @ k[..., head].transpose(1, 2) / 3**0.5 + mask, dim=-1)
        torch.testing.assert_close(out[..., head], weights @ v[..., head])


def test_default_attention_in_low_precision_is_as_good_as_pytorchs():
    q, k, v = (normal(2, 5, 8, seed=seed) for seed in (1, 2, 3))
    exact = sdpa(q, k, v, 2)
    low = [x.bfloat16() for x in (q, k, v)]
    heads = [rearrange(x, "b n (h d) -> b h n d", h=2) for x in low]
    plain = rearrange(torch.nn.functional.scaled_dot_product_attention(*heads), "b h n d -> b n (h d)")
    assert (sdpa(*low, 2) - exact).abs().max() <= 2 * (plain - exact).abs().max()


def test_what_is_not_said_is_as_trained():
    clip = Clip(3)
    assert (clip.strength, clip.key_scale, clip.window, clip.positions) == (1, 1, None, None)
