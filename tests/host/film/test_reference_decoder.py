"""ToonCrafter's decoder with the first and the last frame, against the published order of its steps.

Known images exact.
"""

from __future__ import annotations

import pytest
import torch
from einops import rearrange
from torch import nn
from video_ldm.tests.temporal.tiny import sine_init

from .decoding import decode_clip
from .test_video_decoder import SIZES, decode, folder, latents, make_vae, open_weights  # noqa: F401


@pytest.fixture(scope="module")
def vae(host):
    return make_vae()


def refinement():
    """Random layers, in the file's names: convolutions at levels 0, 1 and the end, attention at 2 and 3."""
    generator = torch.Generator().manual_seed(0)

    def random(*shape):
        return 0.1 * torch.randn(shape, generator=generator)

    weights = {}
    for number in (0, 1, 4):
        weights |= {f"{number}.conv.weight": random(32, 32, 1, 1), f"{number}.conv.bias": random(32)}
    for number in (2, 3):
        weights |= {f"{number}.to_{part}.weight": random(128, 32) for part in "qkv"}
        weights |= {f"{number}.to_out.0.weight": random(32, 128), f"{number}.to_out.0.bias": random(32)}
        weights |= {f"{number}.norm.weight": 1 + random(32), f"{number}.norm.bias": random(32)}
    return weights


@pytest.fixture(scope="module")
def weights(host):
    """A whole file of ToonCrafter, small."""
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules.temporal_ae import VideoDecoder

    torch.manual_seed(0)
    sizes = {**SIZES, "z_channels": 4}
    image = sine_init(AutoencoderKL(ddconfig=sizes, embed_dim=4), 0.1)
    image.decoder = nn.Identity()
    decoder = sine_init(VideoDecoder(**sizes, video_kernel_size=[3, 1, 1], alpha=0.0), 0.1)
    parts = {**image.state_dict(), **{f"decoder.{key}": value for key, value in decoder.state_dict().items()}}
    parts |= {f"decoder.attn_refinement.{key}": value for key, value in refinement().items()}
    return {f"first_stage_model.{key}": value for key, value in parts.items()}


@pytest.fixture
def toon(vae, weights, folder):  # noqa: F811
    return open_weights(vae, folder, weights)


def attended(weights, number, hidden, features):
    """Head by head and frame by frame."""
    w = {
        key.removeprefix(f"{number}."): value
        for key, value in weights.items()
        if key.startswith(f"{number}.")
    }
    normed = nn.functional.group_norm(hidden, 32, w["norm.weight"], w["norm.bias"], 1e-6)
    places = rearrange(features, "two c h w -> (two h w) c")
    out = []
    for frame in normed:
        query = rearrange(frame, "c h w -> (h w) c") @ w["to_q.weight"].T
        key, value = places @ w["to_k.weight"].T, places @ w["to_v.weight"].T
        heads = [
            ((query[:, part] @ key[:, part].T) / 8).softmax(dim=1) @ value[:, part]
            for part in (slice(0, 64), slice(64, 128))
        ]
        out.append(torch.cat(heads, dim=1) @ w["to_out.0.weight"].T + w["to_out.0.bias"])
    return hidden + rearrange(torch.stack(out), "f (h w) c -> f c h w", h=hidden.shape[2])


def combined(weights, number, hidden, features):
    """The picture added to the frame it shows."""
    seen = nn.functional.conv2d(features, weights[f"{number}.conv.weight"], weights[f"{number}.conv.bias"])
    return torch.cat([hidden[:1] + seen[:1], hidden[1:-1], hidden[-1:] + seen[1:]])


def expected(toon, latent, pictures):
    """Every step in the published order, on the host's own parts."""
    model, weights = toon.first_stage_model, refinement()
    encoder, decoder = model.autoencoder.encoder, model.decoder
    h = encoder.conv_in(2 * pictures.movedim(-1, 1) - 1)
    features = []
    start = h.clone()
    for level in encoder.down:
        for block in level.block:
            h = block(h, None)
        features.append(h.clone())
        h = level.downsample(h) if hasattr(level, "downsample") else h
    h = decoder.mid.block_1(decoder.conv_in(latent), None)
    h = decoder.mid.block_2(decoder.mid.attn_1(h), None)
    for number in reversed(range(4)):
        for block in decoder.up[number].block:
            h = block(h, None)
        h = (attended if number in (2, 3) else combined)(weights, number, h, features[number])
        h = decoder.up[number].upsample(h) if number else h
    h = combined(weights, 4, nn.functional.silu(decoder.norm_out(h)), start)
    return toon.process_output(decoder.conv_out(h)).movedim(1, -1)


def test_equals_the_published_order_of_steps(toon):
    latent, pictures = latents(5), torch.rand(2, 24, 40, 3, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        made = decode_clip(toon, latent, 2, 0, {0: pictures[0], 4: pictures[1]})
        wanted = expected(toon, latent, pictures)
    torch.testing.assert_close(made[1:4], wanted[1:4], rtol=0, atol=1e-5)
    assert torch.equal(made[[0, 4]], pictures)
    assert (decode(toon, latent)[1:4] - wanted[1:4]).abs().max() > 1e-3
    assert (
        sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in toon.first_stage_model.modules()) == 0
    )


def test_without_pictures_it_decodes_like_any_other(toon, vae):
    latent = latents(3)
    with torch.inference_mode():
        torch.testing.assert_close(decode(toon, latent), toon.decode(latent))


def test_a_file_without_its_encoder_is_told(vae, weights, folder):  # noqa: F811
    from video_ldm.temporal.errors import CheckpointFormatError

    without = {key: value for key, value in weights.items() if ".encoder." not in key}
    with pytest.raises(
        CheckpointFormatError, match=r"looks like ToonCrafter, but lacks its encoder.*encoder\."
    ):
        open_weights(vae, folder, without)


def test_known_images_come_out_exactly(vae):
    from video_ldm.nodes.host.film.given import given_frames
    from video_ldm.nodes.host.latents import KNOWN_KEY

    samples = latents(4)
    images = torch.rand(2, 24, 40, 3)
    plain = decode(vae, samples)
    with torch.inference_mode():
        for latent, places in (
            ({"samples": samples}, [0, 3]),
            ({"samples": samples, KNOWN_KEY: torch.tensor([0.0, 1.0, 1.0, 0.0])}, [1, 2]),
        ):
            frames = decode_clip(vae, samples, 16, 4, given_frames(latent, images))
            others = [frame for frame in range(4) if frame not in places]
            assert torch.equal(frames[places], images)
            assert torch.equal(frames[others], plain[others])


def test_known_images_that_do_not_fit_are_told(vae, toon):
    from video_ldm.nodes.host.film.given import given_frames
    from video_ldm.nodes.host.latents import KNOWN_KEY
    from video_ldm.temporal.errors import InvalidInputError

    samples = latents(4)
    with pytest.raises(
        InvalidInputError, match=r"3 known images were given, but this clip wants 1 \(the first"
    ):
        given_frames({"samples": samples}, torch.rand(3, 24, 40, 3))
    known = {"samples": samples, KNOWN_KEY: torch.tensor([1.0, 0, 0, 0])}
    with pytest.raises(InvalidInputError, match="2 known images were given, but this clip wants 1"):
        given_frames(known, torch.rand(2, 24, 40, 3))
    with pytest.raises(InvalidInputError, match="known images are 32 x 24, but the frames will be 40 x 24"):
        decode_clip(vae, samples, 16, 4, {0: torch.rand(24, 32, 3)})
    with pytest.raises(InvalidInputError, match="first and the last frame of the clip; connect both"):
        decode_clip(toon, samples, 16, 4, {0: torch.rand(24, 40, 3)})


def test_no_memory_for_the_whole_clip_is_told_with_what_helps(toon, monkeypatch):
    """A clip with pictures goes through at once: another chunk_length or overlap would change nothing."""
    import comfy.model_management as mm
    from video_ldm.temporal.errors import InvalidInputError

    def out_of_memory(*_args, **_options):
        raise mm.OOM_EXCEPTION("out of memory")

    monkeypatch.setattr(toon.first_stage_model, "decode", out_of_memory)
    pictures = torch.rand(2, 24, 40, 3)
    with pytest.raises(InvalidInputError, match=r"decode all 5 frames.*disconnect known_images") as told:
        decode_clip(toon, latents(5), 2, 0, {0: pictures[0], 4: pictures[1]})
    assert "chunk_length" not in str(told.value)


def test_a_film_of_known_ends_is_decoded_as_a_whole_and_says_so(toon):
    from video_ldm.nodes.host.film.frame_stream import DecodeSettings, frame_stream
    from video_ldm.temporal.errors import InvalidInputError

    latent = {"samples": latents(9), "video_ldm_fps": 8.0}
    pictures = torch.rand(2, 24, 40, 3)

    def clip(known_images):
        return frame_stream(latent, toon, None, None, 0.0, DecodeSettings(2, 1, known_images))

    with torch.inference_mode():
        made = torch.cat(list(clip(pictures).stream()))
        whole = decode_clip(toon, latent["samples"], 2, 1, {0: pictures[0], 8: pictures[1]})
    assert torch.equal(made, whole)
    with_ends, without = (sum(clip(images).least.values()) for images in (pictures, None))
    assert with_ends * 4 == without * 9
    with pytest.raises(InvalidInputError, match="first and the last frame of the clip; connect both"):
        clip(pictures[:1])
