"""Temporal decoders on KL autoencoders: Stable Video Diffusion's in both spellings, and our own layers."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from video_ldm.tests.temporal.tiny import sine_init

from .decoding import decode_clip

SIZES = {
    "double_z": True,
    "resolution": 64,
    "in_channels": 3,
    "out_ch": 3,
    "ch": 32,
    "ch_mult": [1, 1, 1, 1],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
}


def make_vae(channels=4):
    """A small KL autoencoder as the host's VAE."""
    import comfy.sd
    from comfy.ldm.models.autoencoder import AutoencoderKL

    sizes = {**SIZES, "z_channels": channels}
    weights = sine_init(AutoencoderKL(ddconfig=sizes, embed_dim=channels), 0.1).state_dict()
    vae = comfy.sd.VAE(weights, config={"params": {"ddconfig": sizes, "embed_dim": channels}})
    vae.latent_channels = channels  # as the host sets it where it finds the sizes itself
    return vae


@pytest.fixture(scope="module")
def vae(host):
    return make_vae()


@pytest.fixture(scope="module")
def reference():
    """diffusers' decoder of Stable Video Diffusion, small, with random weights."""
    from diffusers import AutoencoderKLTemporalDecoder

    torch.manual_seed(0)
    model = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4, block_out_channels=(32, 32, 32, 32), layers_per_block=2
    )
    for name, parameter in model.named_parameters():
        if name.endswith("mix_factor"):
            nn.init.uniform_(parameter, -2, 2)
        elif parameter.ndim == 1:
            nn.init.normal_(parameter, mean=float("norm" in name and name.endswith("weight")), std=0.2)
    return model.eval()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """models/temporal_decoders, empty."""
    import folder_paths
    from video_ldm.nodes.host.files import TEMPORAL_DECODERS, register_folders

    register_folders()
    _, extensions = folder_paths.folder_names_and_paths[TEMPORAL_DECODERS]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, TEMPORAL_DECODERS, ([str(tmp_path)], extensions))
    return tmp_path


@pytest.fixture
def video_vae(vae, reference, folder):
    return open_weights(vae, folder, reference.state_dict())


def open_weights(vae, folder, weights):
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in weights.items()}, folder / "svd.safetensors")
    return opened(vae)


def opened(vae, name="svd.safetensors"):
    from video_ldm.nodes.host.film.vae import open_temporal_decoder

    with torch.inference_mode():
        return open_temporal_decoder(vae, name)


def original_spelling(reference):
    """Weights as the original keeps them inside its checkpoint."""
    from video_ldm.temporal.decoder.svd_names import as_original

    inside = {key: value for key, value in reference.state_dict().items() if key.startswith("decoder.")}
    return {f"first_stage_model.{key}": value for key, value in as_original(inside).items()}


def decode(vae, latent, chunk_length=16, overlap=4):
    with torch.inference_mode():
        return decode_clip(vae, latent, chunk_length, overlap)


def latents(frames, channels=4):
    return torch.randn(frames, channels, 3, 5, generator=torch.Generator().manual_seed(0))


def expected_frames(reference, latent):
    with torch.no_grad():
        frames = reference.decode(latent, num_frames=len(latent)).sample
    return ((frames + 1) / 2).clamp(0, 1).permute(0, 2, 3, 1)


@pytest.mark.parametrize("spelling", ["diffusers", "original"])
@pytest.mark.parametrize("num_frames", [1, 5])
def test_equals_diffusers(vae, reference, folder, spelling, num_frames):
    weights = reference.state_dict() if spelling == "diffusers" else original_spelling(reference)
    video = open_weights(vae, folder, weights)
    latent = latents(num_frames)
    expected = expected_frames(reference, latent)
    error = (decode(video, latent) - expected).norm() / expected.norm()
    assert error < 1e-4
    assert expected.std() > 0.05
    with torch.inference_mode():
        torch.testing.assert_close(video.decode(latent), expected, rtol=0, atol=1e-4)


def test_the_mix_factor_is_the_share_of_time(vae, reference, folder):
    """Reversed against our own layers.

    Far below zero, and with a last convolution that does nothing, time is off.
    """
    weights = dict(reference.state_dict())
    for key in [key for key in weights if key.endswith("mix_factor")]:
        weights[key] = torch.full_like(weights[key], -30.0)
    weights["decoder.time_conv_out.weight"] = torch.zeros(3, 3, 3, 1, 1)
    weights["decoder.time_conv_out.weight"][:, :, 1, 0, 0] = torch.eye(3)
    weights["decoder.time_conv_out.bias"] = torch.zeros(3)
    video = open_weights(vae, folder, weights)
    latent = latents(3)
    alone = torch.cat([decode(video, frame[None]) for frame in latent])
    torch.testing.assert_close(decode(video, latent), alone, rtol=0, atol=1e-5)


def test_the_encoder_stays_that_of_the_vae(vae, video_vae):
    pictures = torch.rand(2, 24, 40, 3)
    with torch.inference_mode():
        assert torch.equal(video_vae.encode(pictures), vae.encode(pictures))


def test_windows_do_not_depend_on_free_memory(video_vae, monkeypatch):
    import comfy.model_management as mm

    latent = latents(9)
    roomy = decode(video_vae, latent, chunk_length=4, overlap=2)
    monkeypatch.setattr(mm, "get_free_memory", lambda *_args, **_kwargs: 1)
    assert torch.equal(decode(video_vae, latent, chunk_length=4, overlap=2), roomy)


def test_overlap_hides_the_seams(video_vae):
    latent = latents(24)
    whole = decode(video_vae, latent, chunk_length=32)

    def error(overlap):
        return (decode(video_vae, latent, chunk_length=8, overlap=overlap) - whole).abs().amax(dim=(1, 2, 3))

    assert error(4).max() < 0.6 * error(0).max()


def test_a_vae_of_another_latent_space_is_refused(reference, folder, host):
    from video_ldm.temporal.errors import IncompatibleModelError

    with pytest.raises(
        IncompatibleModelError, match=r"latents of 4 channels.*have 16 channels.*VAE of an SD 1\.x or 2\.x"
    ):
        open_weights(make_vae(16), folder, reference.state_dict())


def colour_vae(space):
    """A VAE whose latents show colours as those of `space` do."""
    bias = torch.tensor(space.latent_rgb_factors_bias or [0.0, 0.0, 0.0])
    inverse = torch.linalg.pinv(torch.tensor(space.latent_rgb_factors))

    def encode(pictures):
        latent = space.process_out((2 * pictures - 1 - bias) @ inverse)
        return latent.movedim(-1, 1)[:, :, ::8, ::8]

    return SimpleNamespace(latent_channels=4, latent_dim=2, encode=encode)


def test_latents_of_sdxl_are_told_from_those_of_sd(vae, host):
    import comfy.latent_formats
    from video_ldm.nodes.host.film.autoencoders import check_latent_space, latent_space
    from video_ldm.temporal.errors import IncompatibleModelError

    sd, sdxl = colour_vae(comfy.latent_formats.SD15()), colour_vae(comfy.latent_formats.SDXL())
    assert (latent_space(sd), latent_space(sdxl)) == ("SD", "SDXL")
    with torch.inference_mode():
        assert latent_space(vae) is None
    check_latent_space(sd, "SD")
    check_latent_space(sdxl, "toy")
    for wrong, base in ((sdxl, "SD 1.x"), (sd, "SDXL")):
        with pytest.raises(
            IncompatibleModelError, match=r"reads latents of SD.*but the VAE makes those of SD"
        ):
            check_latent_space(wrong, base)


def test_bad_files_are_told(vae, video_vae, reference, folder):
    from video_ldm.temporal.errors import CheckpointFormatError

    whole = (folder / "svd.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointFormatError, match=r"cut\.safetensors is truncated"):
        opened(vae, "cut.safetensors")
    weights = {k: v for k, v in reference.state_dict().items() if "up_blocks.1.resnets.1" not in k}
    with pytest.raises(CheckpointFormatError, match=r"may be damaged. missing: up\.2\.block\.1"):
        open_weights(vae, folder, weights)


def test_windows_can_be_interrupted_and_the_next_decode_runs(video_vae):
    import comfy.model_management as mm
    from video_ldm.nodes.host.film.decode import stream_frames

    latent = latents(9)
    frames = stream_frames(video_vae, latent, chunk_length=3, overlap=1)
    next(frames)
    mm.interrupt_current_processing()
    with pytest.raises(mm.InterruptProcessingException):
        next(frames)
    assert decode(video_vae, latent).shape[0] == 9


def native_decoder(folder, shape, base="SD"):
    from video_ldm.temporal.decoder import DecoderConfig, TemporalDecoder, save_decoder

    decoder = sine_init(TemporalDecoder(DecoderConfig(shape, base)), 0.05)
    save_decoder(folder / "native.safetensors", decoder)


def test_native_layers_stream_on_a_kl_decoder(vae, folder):
    from video_ldm.temporal.decoder import DecoderShape

    native_decoder(folder, DecoderShape("kl", 32, (1, 1, 1, 1), 2))
    temporal = opened(vae, "native.safetensors")
    latent = latents(9)
    with torch.inference_mode():
        whole = temporal.decode(latent)
        assert (whole - vae.decode(latent)).abs().max() > 1e-3
    for chunk_length in (2, 5):
        torch.testing.assert_close(decode(temporal, latent, chunk_length), whole, rtol=0, atol=1e-5)


def test_native_layers_for_other_widths_are_refused(vae, folder):
    from video_ldm.temporal.decoder import DecoderShape
    from video_ldm.temporal.errors import IncompatibleModelError

    native_decoder(folder, DecoderShape("kl", 64, (1, 1, 1, 1), 2))
    with pytest.raises(
        IncompatibleModelError, match=r"no block of 64 channels at decoder\.mid\.block_1\. Connect"
    ):
        opened(vae, "native.safetensors")


def test_full_size_layers_fit_the_hosts_autoencoders(host):
    """Stock KL and TAESD, without memory: every place is there, with its width."""
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.taesd.taesd import TAESD as HostTAESD
    from video_ldm.nodes.host.film.vae import check_autoencoder
    from video_ldm.temporal.decoder import KL, TAESD, DecoderConfig, TemporalDecoder

    full = {**SIZES, "ch": 128, "ch_mult": [1, 2, 4, 4], "z_channels": 4}
    with torch.device("meta"):
        autoencoders = {KL: AutoencoderKL(ddconfig=full, embed_dim=4), TAESD: HostTAESD()}
    for shape, autoencoder in autoencoders.items():
        decoder = TemporalDecoder(DecoderConfig(shape, "SD"), device="meta")
        check_autoencoder(SimpleNamespace(first_stage_model=autoencoder), decoder)
        inside = autoencoder.decoder if shape is KL else autoencoder.taesd_decoder
        kind = type(inside.mid.block_1) if shape is KL else type(inside[3])
        blocks = [name for name, module in autoencoder.named_modules() if type(module) is kind]
        blocks = [name for name in blocks if "encoder" not in name]
        assert sorted(site.path for site in decoder.sites) == sorted(blocks)


def test_the_order_of_places_is_the_order_of_execution(vae):
    from video_ldm.temporal.decoder.plan import DecoderShape, plan_decoder

    autoencoder, order = vae.first_stage_model, []
    sites = plan_decoder(DecoderShape("kl", 32, (1, 1, 1, 1), 2))
    handles = [
        autoencoder.get_submodule(site.path).register_forward_hook(lambda *_, s=site: order.append(s))
        for site in sites
    ]
    with torch.inference_mode():
        vae.decode(latents(1))
    for handle in handles:
        handle.remove()
    assert tuple(order) == sites
