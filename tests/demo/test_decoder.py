"""The toy decoders: training with a picture discriminator, what a file keeps, measures of the benchmark."""

from __future__ import annotations

import argparse
import logging
import math

import pytest
import torch
from safetensors.torch import load_file
from video_ldm.benchmarks.toy_world import decoder as benchmark
from video_ldm.demo.train import autoencoder, decoder
from video_ldm.demo.train.common import save_half
from video_ldm.demo.train.toy_models import encode, load_autoencoder
from video_ldm.temporal.decoder import decoder_of, image_weights
from video_ldm.temporal.weights.files import read_weights

CHECKPOINT = benchmark.MODELS / "toy_sd.safetensors"


def test_flicker_at_rest_is_that_of_pixels_which_stand_still_in_the_drawn_clip():
    frames = torch.zeros(3, 3, 2, 2)
    frames[1:, 1, 0, 0] = 0.5  # one channel of one pixel changes once, so that pixel moves there
    decoded = frames.clone()
    decoded[1, :, 0, 0] += 0.2  # seen on its way back only
    decoded[1, :, 1, 1] += 0.1  # seen on both
    expected = 255 * (3 * 0.2 + 6 * 0.1) / (3 * (3 + 4))
    assert benchmark.flicker_at_rest(decoded, frames) == pytest.approx(expected, rel=1e-5)
    moving = torch.arange(3.0)[:, None, None, None].expand(3, 3, 2, 2)
    assert math.isnan(benchmark.flicker_at_rest(decoded, moving))


def test_shares_are_of_the_image_decoder_over_clips_that_have_both():
    image = {"flicker": [4.0, 8.0], "at_rest": [2.0, float("nan")]}
    side = {"flicker": [1.0, 2.0], "at_rest": [1.0, float("nan")]}
    found = benchmark.shares(side, image)
    assert found["flicker"] == pytest.approx((0.25, 0.25, 0.25))
    assert found["at_rest"] == pytest.approx((0.5, 0.5, 0.5))
    wide = benchmark.shares({**side, "flicker": [4.0, 0.0]}, image)["flicker"]
    assert wide == pytest.approx((1 / 3, 0.0, 1.0))


def test_squares_of_the_large_world_have_a_grain_and_are_always_the_same():
    square = benchmark.held_out_clip(0, scale=2)
    assert square.shape == (8, 3, 128, 128) and torch.equal(square, benchmark.held_out_clip(0, scale=2))
    assert fine(square) > 2 * fine(benchmark.held_out_clip(0))


def fine(pictures: torch.Tensor) -> float:
    """Median size, in 255ths, of what a pixel has that its neighbours have not."""
    around = torch.nn.functional.avg_pool2d(pictures, 3, 1, 1)
    return 255 * (pictures - around)[..., 1:-1, 1:-1].abs().median().item()


@pytest.fixture
def arguments(tmp_path) -> argparse.Namespace:
    return argparse.Namespace(
        init=CHECKPOINT,
        decoder_only=True,
        keep_layers=5,
        grain=True,
        adversarial=1.0,
        adversary_rate=1e-3,
        steps=2,
        batch=2,
        rate=1e-2,
        noise=0.05,
        average=0.9,
        pictures=2,
        seed=0,
        out=tmp_path / "out.safetensors",
        state=tmp_path / "out.state.pt",
    )


@pytest.mark.usefixtures("host")
def test_a_decoder_alone_learns_from_pictures_and_discriminator(arguments, monkeypatch):
    monkeypatch.setattr(autoencoder, "ADVERSARY_START", 1)
    monkeypatch.setattr(autoencoder, "start_log", lambda: logging.getLogger("demo.train"))
    autoencoder.train(arguments)
    before, after = load_autoencoder(CHECKPOINT).state_dict(), load_file(arguments.out)
    changed = {key for key in after if not torch.equal(after[key].float(), before[key])}
    own = {key for key in after if key.startswith("taesd_decoder.")}
    kept = {key for key in own if int(key.split(".")[1]) < 5}
    assert changed == own - kept
    state = torch.load(arguments.state)
    assert state["step"] == 2 and len(state["adversary_optimizer"]["state"]) == len(state["discriminator"])

    arguments.steps = 4
    autoencoder.train(arguments)
    assert torch.load(arguments.state)["step"] == 4


@pytest.mark.usefixtures("host")
def test_a_file_keeps_what_its_image_decoder_has_of_its_own(tmp_path):
    model = load_autoencoder(CHECKPOINT)
    assert decoder.own_weights(model, CHECKPOINT) == {}
    model.taesd_decoder[7].weight.data += 1
    save_half(tmp_path / "other.safetensors", model.state_dict(), {"format": "pt"})
    own = decoder.own_weights(load_autoencoder(tmp_path / "other.safetensors"), CHECKPOINT)
    assert own.keys() == {"taesd_decoder.7.weight"} and own["taesd_decoder.7.weight"].dtype == torch.float16


def test_clips_of_the_large_world_are_cut_out_anywhere():
    frames, noise = decoder.render(3, "train", 0.1, crop=64, scale=2)
    assert frames.shape == (8, 3, 64, 64) and noise.shape == (8, 4, 8, 8)
    whole, _ = decoder.render(3, "train", 0.1, crop=256, scale=2)
    windows = whole[0].unfold(1, 64, 1).unfold(2, 64, 1)
    where = (windows == frames[0][:, None, None]).all(-1).all(-1).all(0).nonzero()
    assert len(where) >= 1


@pytest.mark.usefixtures("host")
def test_the_bundled_layers_hold_still_the_grain_that_their_image_decoder_invents():
    file = read_weights(benchmark.MODELS / "toy_grain_decoder.safetensors")
    model = load_autoencoder(CHECKPOINT)
    model.load_state_dict(image_weights(file), strict=False)
    sides = {"image": decoder.image_only, "temporal": decoder_of(file, dtype=torch.float32)}
    found = {name: [] for name in sides}
    for number in (0, 2, 3):
        frames, noise = decoder.render(number, "test", 0.05, crop=64, scale=2)
        latents = encode(model, frames) + noise
        for name, side in sides.items():
            with torch.no_grad():
                decoded = decoder.decoder_of(model)(latents, side).clamp(0, 1)
            found[name].append((benchmark.flicker_at_rest(decoded, frames), fine(decoded) / fine(frames)))
    (image, invented), (temporal, kept) = (torch.tensor(found[name]).nanmean(0) for name in sides)
    assert invented > 0.6 and kept > 0.8 * invented
    assert temporal < 0.4 * image
