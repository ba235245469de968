"""Training of a temporal decoder: the loss is what it says, flicker falls, the image decoder stays."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from video_ldm.temporal.decoder import TAESD, DecoderConfig, TemporalDecoder
from video_ldm.temporal.training.decoder import decoder_loss, flicker, train_decoder


def test_flicker_is_the_change_of_the_error():
    frames = torch.rand(4, 3, 2, 2)
    assert flicker(frames + 0.3, frames) == pytest.approx(0, abs=1e-6)
    shaking = frames + 0.1 * torch.tensor([0.0, 1.0, 0.0, 1.0])[:, None, None, None]
    assert flicker(shaking, frames).item() == pytest.approx(0.1, rel=1e-4)
    assert decoder_loss(shaking, frames, steadiness=3.0).item() == pytest.approx(0.05 + 0.3, rel=1e-4)


def test_training_takes_flicker_away_and_leaves_the_image_decoder():
    torch.manual_seed(0)
    image_decoder = nn.Sequential(nn.Conv2d(4, 64, 1), nn.Conv2d(64, 3, 1)).requires_grad_(False)
    before = copy.deepcopy(image_decoder.state_dict())
    decoder = TemporalDecoder(DecoderConfig(TAESD, base="tiny"))
    still = torch.randn(1, 4, 6, 5).expand(5, -1, -1, -1)
    frames = image_decoder(still)

    def draw(step):
        noise = torch.randn(still.shape, generator=torch.Generator().manual_seed(step))
        return still + 0.3 * noise, frames

    def decode(latents, layers):
        return image_decoder[1](layers(layers.sites[0], image_decoder[0](latents)))

    first = flicker(decode(draw(10**6)[0], decoder), frames)
    losses = train_decoder(decoder, decode, draw, steps=60, peak=1e-3, ema=0.8)
    assert len(losses) == 60
    with torch.no_grad():
        assert flicker(decode(draw(10**6)[0], decoder), frames) < 0.7 * first
    assert all(torch.equal(value, before[name]) for name, value in image_decoder.state_dict().items())
