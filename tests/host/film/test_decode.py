"""Temporal VAE Decode: streaming and windows, never seams, and temporal decoders in the host's VAE."""

from __future__ import annotations

import pytest
import torch

from .decoding import decode_clip


@pytest.fixture(scope="module")
def latent():
    return torch.randn(7, 4, 5, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def temporal_vae(rig, tmp_path, monkeypatch):
    """The toy VAE with a temporal decoder of random weights, read from a file."""
    return make_temporal_vae(rig, tmp_path, monkeypatch, scale=0.02)


def make_temporal_vae(rig, tmp_path, monkeypatch, scale):
    import folder_paths
    from torch import nn
    from video_ldm.nodes.host.files import TEMPORAL_DECODERS, register_folders
    from video_ldm.nodes.host.film.vae import open_temporal_decoder
    from video_ldm.temporal.decoder import TAESD, DecoderConfig, TemporalDecoder, save_decoder

    torch.manual_seed(0)
    decoder = TemporalDecoder(DecoderConfig(TAESD, "SD"))
    if scale:
        for parameter in decoder.parameters():
            nn.init.normal_(parameter, std=scale)
    save_decoder(tmp_path / "decoder.safetensors", decoder)
    register_folders()
    _, extensions = folder_paths.folder_names_and_paths[TEMPORAL_DECODERS]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, TEMPORAL_DECODERS, ([str(tmp_path)], extensions))
    return open_temporal_decoder(rig.vae, "decoder.safetensors")


def decode(vae, latent, chunk_length=16, overlap=4):
    with torch.inference_mode():
        return decode_clip(vae, latent, chunk_length, overlap)


def record_calls(vae, monkeypatch, fail_above=None):
    """Frames given to each call of the decoder; more than `fail_above` frames run out of memory."""
    import comfy.model_management as mm

    calls, inner = [], vae.first_stage_model.decode

    def recorded(z, **options):
        calls.append(z.shape[0])
        if fail_above is not None and z.shape[0] > fail_above:
            raise mm.OOM_EXCEPTION("out of memory")
        return inner(z, **options)

    monkeypatch.setattr(vae.first_stage_model, "decode", recorded)
    return calls


def test_an_image_vae_decodes_as_in_the_host(rig, latent):
    with torch.inference_mode():
        expected = rig.vae.decode(latent)
    torch.testing.assert_close(decode(rig.vae, latent, chunk_length=3, overlap=1), expected)


def looks_along_time(vae, monkeypatch):
    """The VAE as if its decoder were of an unknown kind that needs its neighbours: decoded in windows."""
    monkeypatch.setattr("video_ldm.nodes.host.film.decode.is_image_decoder", lambda _: False)
    return vae


@pytest.mark.parametrize("num_frames", [2, 3, 9, 17])
@pytest.mark.parametrize("chunk_length", [2, 4, 16])
def test_a_decoder_that_looks_along_time_never_gets_a_single_frame(
    rig, monkeypatch, num_frames, chunk_length
):
    vae = looks_along_time(rig.vae, monkeypatch)
    calls = record_calls(vae, monkeypatch)
    frames = decode(vae, torch.randn(num_frames, 4, 2, 3), chunk_length, overlap=0)
    assert frames.shape == (num_frames, 16, 24, 3)
    assert min(calls) >= 2


def test_a_clip_of_one_frame_is_decoded(rig):
    assert decode(rig.vae, torch.randn(1, 4, 5, 3)).shape == (1, 40, 24, 3)


def test_fresh_temporal_decoder_is_exactly_the_image_decoder(rig, latent, tmp_path, monkeypatch):
    fresh = make_temporal_vae(rig, tmp_path, monkeypatch, scale=0)
    assert torch.equal(decode(fresh, latent), decode(rig.vae, latent))


def test_temporal_decoder_works_in_the_hosts_own_decode(temporal_vae, rig, latent):
    with torch.inference_mode():
        host_frames = temporal_vae.decode(latent)
    assert torch.equal(host_frames, decode(temporal_vae, latent))
    assert not torch.equal(host_frames, decode(rig.vae, latent))


def test_the_given_vae_stays_an_image_vae(rig, latent, temporal_vae):
    before = decode(rig.vae, latent)
    decode(temporal_vae, latent)
    assert torch.equal(decode(rig.vae, latent), before)
    assert sum(len(m._forward_hooks) for m in temporal_vae.first_stage_model.modules()) == 0


def test_frames_are_the_same_for_every_chunk_length(temporal_vae, latent):
    with torch.inference_mode():
        whole = temporal_vae.decode(latent)
    for chunk_length in (2, 3, 64):
        torch.testing.assert_close(decode(temporal_vae, latent, chunk_length), whole, rtol=0, atol=1e-5)


def test_frames_come_piece_by_piece_from_any_iterator(temporal_vae, latent):
    from video_ldm.nodes.host.film.decode import stream_frames

    taken = []

    def pieces():
        for piece in latent.split([1, 4, 2]):
            taken.append(len(piece))
            yield piece

    frames = stream_frames(temporal_vae, pieces(), chunk_length=1)
    first = next(frames)
    assert sum(taken) < 7 or len(first) < 7
    assert first.dtype == torch.float32 and first.device.type == "cpu"
    frames = torch.cat([first, *frames])
    torch.testing.assert_close(frames, decode(temporal_vae, latent), rtol=0, atol=1e-5)


def fail_above(vae, most):
    """Run out of memory where more than `most` frames are in the image decoder's last block."""
    import comfy.model_management as mm

    sizes, autoencoder = [], vae.first_stage_model.autoencoder

    def check(_module, args):
        sizes.append(len(args[0]))
        if len(args[0]) > most:
            raise mm.OOM_EXCEPTION("out of memory")

    handle = autoencoder.taesd_decoder[-1].register_forward_pre_hook(check)
    return sizes, handle


@pytest.mark.parametrize("most", [5, 2])
def test_out_of_memory_halves_the_chunk_with_the_same_frames(temporal_vae, most):
    latent = torch.randn(40, 4, 2, 3)
    expected = decode(temporal_vae, latent)
    sizes, handle = fail_above(temporal_vae, most)
    frames = decode(temporal_vae, latent, chunk_length=16)
    handle.remove()
    assert max(sizes) > most
    torch.testing.assert_close(frames, expected, atol=1e-5, rtol=0)
    assert sum(len(m._forward_hooks) for m in temporal_vae.first_stage_model.modules()) == 0


def test_out_of_memory_halves_the_pieces_of_an_image_decoder(rig, latent, monkeypatch):
    expected = decode(rig.vae, latent)
    calls = record_calls(rig.vae, monkeypatch, fail_above=2)
    torch.testing.assert_close(decode(rig.vae, latent), expected)
    assert calls == [7, 3, 1, 1, 1, 1, 1, 1, 1]


def test_no_memory_for_one_frame_is_an_error(temporal_vae, latent):
    from video_ldm.temporal.errors import InvalidInputError

    _, handle = fail_above(temporal_vae, 0)
    with pytest.raises(InvalidInputError, match="not enough memory to decode a frame of this size"):
        decode(temporal_vae, latent)
    handle.remove()


def test_windows_are_never_made_smaller(rig, latent, monkeypatch):
    """Frames of such a decoder depend on the window: less memory must not change them in silence."""
    from video_ldm.temporal.errors import InvalidInputError

    vae = looks_along_time(rig.vae, monkeypatch)
    calls = record_calls(vae, monkeypatch, fail_above=4)
    with pytest.raises(
        InvalidInputError, match=r"decode 5 frames together.*Lower chunk_length or overlap, or"
    ):
        decode(vae, latent, chunk_length=4, overlap=1)
    assert calls == [5]
    assert decode(vae, latent, chunk_length=2, overlap=1).shape[0] == 7


@pytest.mark.parametrize("chunk", [0, 1, 2, 3])
def test_an_interrupt_at_any_chunk_leaves_nothing_behind(temporal_vae, latent, chunk):
    import comfy.model_management as mm
    from video_ldm.nodes.host.film.decode import stream_frames

    expected = decode(temporal_vae, latent)
    frames = stream_frames(temporal_vae, latent, chunk_length=2)
    for _ in range(chunk):
        next(frames)
    mm.interrupt_current_processing()
    with pytest.raises(mm.InterruptProcessingException):
        next(frames)
    assert sum(len(m._forward_hooks) for m in temporal_vae.first_stage_model.modules()) == 0
    torch.testing.assert_close(decode(temporal_vae, latent), expected, rtol=0, atol=1e-5)


def test_an_interrupt_stops_between_chunks(rig, latent):
    import comfy.model_management as mm

    mm.interrupt_current_processing()
    with pytest.raises(mm.InterruptProcessingException):
        decode(rig.vae, latent)
    assert decode(rig.vae, latent).shape[0] == 7


def test_a_latent_of_another_space_is_refused(rig):
    from video_ldm.temporal.errors import InvalidInputError

    with pytest.raises(InvalidInputError, match=r"shape \(3, 16, 4, 4\).*\(frames, 4, height, width\)"):
        decode(rig.vae, torch.zeros(3, 16, 4, 4))


def test_a_decoder_for_another_autoencoder_is_refused(rig):
    from video_ldm.nodes.host.film.vae import check_autoencoder
    from video_ldm.temporal.decoder import KL, DecoderConfig, TemporalDecoder
    from video_ldm.temporal.errors import IncompatibleModelError

    decoder = TemporalDecoder(DecoderConfig(KL, "SD"), device="meta")
    with pytest.raises(
        IncompatibleModelError, match=r"made for the KL autoencoder of SD.*no block of 512 channels"
    ):
        check_autoencoder(rig.vae, decoder)


@pytest.fixture(scope="module")
def small(latent):
    """Clip before it was enlarged: a quarter of its size, each frame in a colour of its own."""
    frames = torch.rand(7, 1, 1, 3, generator=torch.Generator().manual_seed(3))
    return (0.4 + 0.2 * frames).expand(-1, 10, 6, -1)


@pytest.mark.parametrize("chunk_length", [2, 16])
def test_colours_of_given_frames_are_kept(host, rig, latent, small, chunk_length):
    values = {"samples": {"samples": latent}, "vae": rig.vae, "chunk_length": chunk_length, "overlap": 0}
    (frames,) = host.call("VLDM_TemporalVAEDecode", **values)
    (kept,) = host.call("VLDM_TemporalVAEDecode", **values, keep_colours_of=small)
    wanted = small.mean(dim=(1, 2))
    assert (frames.mean(dim=(1, 2)) - wanted).abs().max() > 0.05
    assert (kept.mean(dim=(1, 2)) - wanted).abs().max() < 0.01


@pytest.mark.parametrize("shape", [(6, 10, 6, 3), (7, 12, 6, 3), (7, 10, 12, 3), (7, 80, 48, 3)])
def test_frames_that_the_clip_was_not_enlarged_from_are_refused(rig, latent, shape):
    from video_ldm.temporal.errors import InvalidInputError

    count, height, width, _ = shape
    message = (
        f"keep_colours_of was given {count} frames of {width} x {height}, but the clip has 7 frames "
        "of 24 x 40"
    )
    with pytest.raises(InvalidInputError, match=message):
        decode_clip(rig.vae, latent, 16, 4, colours=torch.rand(shape))


def test_the_hosts_own_decode_streams_however_little_memory_there_is(host, temporal_vae, latent, monkeypatch):
    expected = decode(temporal_vae, latent)
    monkeypatch.setattr(temporal_vae, "memory_used_decode", lambda shape, dtype: 1e15)  # one frame at a time
    decoded = host.call("VAEDecode", samples={"samples": latent}, vae=temporal_vae)[0]
    torch.testing.assert_close(decoded, expected)


def test_the_hosts_tiled_decode_is_refused(host, temporal_vae, latent):
    from video_ldm.temporal.errors import InvalidInputError

    tiles = {"tile_size": 64, "overlap": 16, "temporal_size": 64, "temporal_overlap": 8}
    with pytest.raises(InvalidInputError, match="Use Temporal VAE Decode"):
        host.call("VAEDecodeTiled", samples={"samples": latent}, vae=temporal_vae, **tiles)
