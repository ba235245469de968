"""Estimates before a clip is made are what it takes, on every device.

Known images come out of films as they are.
"""

from __future__ import annotations

import copy

import pytest
import torch
from video_ldm.benchmarks.cost.activations import LiveMemory

from .film_sizes import FPS
from .test_decode import looks_along_time, record_calls
from .test_render import Doubling, count_decodes, lazy, render

pytestmark = pytest.mark.usefixtures("output")

CPU, OTHER = torch.device("cpu"), torch.device("meta")
SIZES = {
    "ch": 128, "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "z_channels": 4, "in_channels": 3, "out_ch": 3,
    "resolution": 256, "attn_resolutions": [], "dropout": 0.0,
}  # fmt: skip


def clip(samples, vae, upscaler=None, **settings):
    from video_ldm.nodes.host.film.frame_stream import DecodeSettings, frame_stream

    return frame_stream(samples, vae, None, upscaler, 0.0, DecodeSettings(**settings))


@pytest.mark.parametrize(("chunk_length", "overlap"), [(2, 1), (2, 0), (3, 2), (16, 4)])
def test_the_memory_of_windows_is_that_of_the_longest(rig, latent, monkeypatch, chunk_length, overlap):
    from video_ldm.nodes.host.film.decode_memory import frame_memory
    from video_ldm.nodes.host.film.frame_stream import held

    vae = looks_along_time(rig.vae, monkeypatch)
    calls = record_calls(vae, monkeypatch)
    made = clip(latent, vae, chunk_length=chunk_length, overlap=overlap)
    with torch.inference_mode():
        list(made.stream())
    one = frame_memory(vae, *latent["samples"].shape[2:])
    assert made.memory == {CPU: max(calls) * one + held(max(calls), made.width, made.height)}
    first = {"samples": latent["samples"][:1], "video_ldm_fps": FPS}
    assert made.least[CPU] == max(calls) * clip(first, vae).least[CPU]
    assert not made.shrinks


@pytest.mark.parametrize(("bytes_of_frames", "together"), [(1, 1), (2.5, 2), (100, 7)])
def test_pieces_that_change_nothing_hold_few_bytes_of_frames(
    rig, latent, decoded, monkeypatch, bytes_of_frames, together
):
    from video_ldm.nodes.host.film import decode
    from video_ldm.nodes.host.film.decode_memory import decode_needs

    made = clip(latent, rig.vae)
    frame = 3 * 4 * made.width * made.height
    monkeypatch.setattr(decode, "PIECE", bytes_of_frames * frame)
    calls = record_calls(rig.vae, monkeypatch)
    with torch.inference_mode():
        torch.testing.assert_close(torch.cat(list(made.stream())), decoded)
    assert max(calls) == together
    assert decode_needs(rig.vae, latent["samples"], 16, 4, at_once=False).together == max(calls)


def test_windows_that_cannot_fit_are_refused_and_pieces_are_not(host, rig, latent, output, monkeypatch):
    import comfy.model_management as mm

    total = 2 * clip(latent, rig.vae).least[CPU]
    calls = count_decodes(rig.vae, monkeypatch)
    monkeypatch.setattr(mm, "get_total_memory", lambda *_given, **_options: total)
    render(host, samples=latent, vae=rig.vae)
    assert calls
    calls.clear()
    monkeypatch.setattr(host.pack("nodes.host.film.decode"), "is_image_decoder", lambda _: False)
    with pytest.raises(
        ValueError, match=r"at once, and cpu has .*decode fewer frames together \(chunk_length"
    ):
        render(host, samples=latent, vae=rig.vae)
    assert not calls


def test_only_what_takes_smaller_pieces_says_so(rig, latent, monkeypatch):
    from video_ldm.nodes.host.film.estimate import FilmNeeds
    from video_ldm.nodes.host.film.frame_stream import DecodeSettings, frame_stream

    images = frame_stream(None, None, torch.rand(2, 8, 8, 3), None, FPS, DecodeSettings())
    pieces = clip(latent, rig.vae)
    windows = clip(latent, looks_along_time(rig.vae, monkeypatch))
    assert [made.shrinks for made in (pieces, windows, images)] == [True, False, False]
    for shrinks, device, free in ((True, OTHER, 1), (False, OTHER, 1), (True, OTHER, 9), (True, CPU, 1)):
        text = FilmNeeds({device: 2**30}, {device: free * 2**29}, shrinks, 0, 0).text
        assert ("smaller pieces are decoded" in text) == (shrinks and device == OTHER and free == 1)


class Elsewhere(Doubling):
    """An upscaler that computes on a device of its own."""

    load_device = OTHER


def test_every_device_is_compared_with_its_own_memory(host, rig, latent, output, monkeypatch, caplog):
    import comfy.model_management as mm

    there = {CPU: 2**40, OTHER: 2**31}
    for asked in ("get_total_memory", "get_free_memory"):
        monkeypatch.setattr(mm, asked, lambda device=CPU, **_options: there[device])
    caplog.set_level("INFO")
    small, large = Elsewhere(), Elsewhere()
    large.device = 2**32
    render(host, samples=latent, vae=rig.vae, upscaler=small, format="png sequence (8 bit)")
    said = next(record.message for record in caplog.records if "Rendering" in record.message)
    assert "about 1.0 GB of memory on meta (2.0 GB free)" in said and "of memory (1024.0 GB free)" in said
    with pytest.raises(
        ValueError, match=r"at least 4\.0 GB of memory at once, and meta has 2\.0 GB in all.*tile_size"
    ):
        render(host, samples=latent, vae=rig.vae, upscaler=large)
    assert len(list(output.iterdir())) == 1


def test_the_least_of_a_video_decoder_is_what_is_alive_in_it(host):
    """Full size, counted without computing anything."""
    from comfy.ldm.modules.temporal_ae import VideoDecoder
    from video_ldm.nodes.host.film.decode_memory import VIDEO_LIVE

    with torch.device("meta"), torch.inference_mode():
        decoder = VideoDecoder(**SIZES, video_kernel_size=[3, 1, 1], alpha=0.0)
        decoder.mid.attn_1.optimized_attention = lambda q, _k, _v: torch.empty_like(q)
        latents = torch.empty(4, 4, 8, 8)
        with LiveMemory() as memory:
            frames = decoder(latents)
    live = memory.peak / (frames[:, 0].numel() * frames.itemsize)
    assert pytest.approx(live, rel=0.01) == VIDEO_LIVE


def test_a_video_decoder_beside_the_encoder_of_taesd_is_not_counted_as_taesd(rig):
    from comfy.ldm.modules.temporal_ae import VideoDecoder
    from video_ldm.nodes.host.film.decode_memory import frame_memory
    from video_ldm.nodes.host.film.vae import VideoAutoencoder

    vae = copy.copy(rig.vae)
    decoder = VideoDecoder(**{**SIZES, "ch": 32}, video_kernel_size=[3, 1, 1], alpha=0.0)
    vae.first_stage_model = VideoAutoencoder(rig.vae.first_stage_model, decoder)
    host = vae.memory_used_decode((1, 4, 8, 8), vae.vae_dtype)
    assert frame_memory(rig.vae, 8, 8) < frame_memory(vae, 8, 8) == host


@pytest.mark.parametrize("chunk_length", [2, 16])
def test_known_images_are_in_the_film_as_they_are(host, rig, latent, decoded, chunk_length):
    images = torch.rand(2, *decoded.shape[1:])
    video = render(
        host, samples=latent, vae=rig.vae, chunk_length=chunk_length, known_images=images,
        upscaler=Doubling(), format="png sequence (16 bit)",
    )  # fmt: skip
    frames = video.get_components().images[:, ::2, ::2]
    torch.testing.assert_close(frames[[0, -1]], images, atol=1e-5, rtol=0)
    torch.testing.assert_close(frames[1:-1], decoded[1:-1], atol=1e-5, rtol=0)
    saved = lazy(host, rig, latent, chunk_length=chunk_length, known_images=images).get_components().images
    assert torch.equal(saved[[0, -1]], images)
    torch.testing.assert_close(saved[1:-1], decoded[1:-1], atol=1e-5, rtol=0)


def test_known_images_that_do_not_fit_are_refused(host, rig, latent, output, decoded, monkeypatch):
    calls = count_decodes(rig.vae, monkeypatch)
    with pytest.raises(ValueError, match="known images are 16 x 8, but the frames will be 96 x 64"):
        render(host, samples=latent, vae=rig.vae, known_images=torch.rand(1, 8, 16, 3))
    with pytest.raises(
        ValueError, match="known_images are for a clip that is decoded, but images are connected"
    ):
        render(host, images=decoded, known_images=decoded[:1], fps=FPS)
    assert not calls and not list(output.iterdir())
