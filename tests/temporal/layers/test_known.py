"""The encoder of known frames."""

import torch
from torch.nn import functional
from video_ldm.temporal.layers.known import KnownFrameEncoder, KnownInput

from ...reference import known_frame_features
from ..tiny import normal, sine_init

WIDTHS = (6, 8, 10)


def test_equals_the_reference_at_every_resolution():
    encoder = sine_init(KnownFrameEncoder(4, WIDTHS, torch.nn))
    latents, mask = normal(3, 4, 5, 7), [1.0, 0.0, 0.5]
    features = encoder(latents, torch.tensor(mask))
    expected = known_frame_features(encoder.state_dict(), latents, mask)
    assert [tuple(features[level].shape) for level in range(3)] == [(3, 6, 5, 7), (3, 8, 3, 4), (3, 10, 2, 2)]
    for level in range(3):
        torch.testing.assert_close(features[level], expected[level])


def test_unknown_frames_have_no_features_whatever_their_latents():
    encoder = sine_init(KnownFrameEncoder(4, WIDTHS, torch.nn))
    features = encoder(normal(3, 4, 5, 7), torch.tensor([1, 0, 0]))
    for level in range(3):
        assert features[level][0].abs().max() > 0
        assert features[level][1:].abs().max() == 0


def test_further_input_channels_are_those_of_a_first_convolution_that_sees_all_of_them():
    own, layer = sine_init(torch.nn.Conv2d(4, 6, 3, padding=1)), sine_init(KnownInput(4, 6, torch.nn))
    noisy, latents, mask = normal(3, 4, 5, 7), normal(3, 4, 5, 7, seed=1), torch.tensor([1.0, 0.0, 1.0])
    given = torch.stack([torch.cat([latents[i] * mask[i], mask[i].expand(1, 5, 7)]) for i in range(3)])
    wide = functional.conv2d(
        torch.cat([noisy, given], 1), torch.cat([own.weight, layer.conv.weight], 1), own.bias, padding=1
    )
    torch.testing.assert_close(own(noisy) + layer(latents, mask), wide)
    assert layer(latents, mask)[1].abs().max() == 0
