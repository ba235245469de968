"""Image layers of motion modules against slow versions."""

import pytest
import torch
from torch import nn
from video_ldm.temporal.layers.image import AffinityConv, ImageEncoder
from video_ldm.temporal.sampling.clip import Clip

from ... import reference
from ..tiny import normal, sine_init

CHANNELS = (4, 6, 6)


def image(num_frames, clips=2):
    """One image at every frame of a clip, with other affinities."""
    latents = normal(clips, 4, 7, 5).repeat_interleave(num_frames, 0)
    affinity = torch.linspace(1, 0.5, clips * num_frames)[:, None, None, None].expand(-1, 1, 7, 5)
    return torch.cat([latents, affinity], dim=1)


@pytest.mark.parametrize("num_frames", [1, 3, 5])
def test_an_encoder_is_its_slow_version(num_frames):
    encoder = sine_init(ImageEncoder(4, CHANNELS, nn))
    given = image(num_frames)
    with torch.no_grad():
        features = encoder(given, Clip(num_frames, frame_weight=0.5))
        for clip in range(2):
            expected = reference.image_features(
                encoder.state_dict(), given[clip * num_frames, :4], num_frames, 0.5
            )
            for level, frames in enumerate(expected):
                ours = features[level][clip * num_frames :][:num_frames]
                torch.testing.assert_close(ours, frames, rtol=1e-4, atol=1e-5)


def test_an_affinity_convolution_is_the_whole_one_without_the_clips_own_channels():
    """The published convolution of nine channels is ours on the image and the image model's on the clip."""
    conv = sine_init(AffinityConv(4, CHANNELS, nn))
    own, given = normal(6, 4, 7, 5, seed=2), image(3)
    whole = nn.Conv2d(9, 4, 3, padding=1)
    weights = conv.state_dict()
    whole.load_state_dict(
        {
            "weight": torch.cat([weights["latent.weight"], weights["image.weight"]], dim=1),
            "bias": weights["latent.bias"],
        }
    )
    with torch.no_grad():
        expected = whole(torch.cat([own, given[:, 4:], given[:, :4]], dim=1))
        torch.testing.assert_close(conv.latent(own) + conv(given, Clip(3))[0], expected)
