"""Modules that a patcher of a newer host changed are never copied (0.26 on NVIDIA).

Neither their memory nor what they compute with.
"""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file
from video_ldm.demo import environment
from video_ldm.temporal.decoder import TAESD, DecoderConfig, TemporalDecoder, save_decoder

from ..film.test_video_decoder import latents, make_vae
from .lazy_host import as_used

TOY = environment.REPO / "demo" / "models"


@pytest.fixture
def vae(host):
    """The toy checkpoint's VAE, used before."""
    import comfy.sd
    import comfy.utils

    weights = load_file(TOY / "toy_sd.safetensors")
    vae = comfy.sd.VAE(comfy.utils.state_dict_prefix_replace(weights, {"first_stage_model.": ""}, True))
    as_used(vae.patcher)
    return vae


@pytest.fixture
def folder(host):
    """Folder with the decoder of a test."""
    path = host.base / "models" / "temporal_decoders" / "brings_image_weights.safetensors"
    path.parent.mkdir(exist_ok=True)
    yield path
    path.unlink(missing_ok=True)


def test_a_decoder_shows_the_image_weights_that_it_brings(vae, folder):
    from video_ldm.nodes.host.film.vae import open_temporal_decoder

    name = "taesd_decoder.18.conv.4.weight"
    brought = 0.5 * vae.first_stage_model.get_parameter(name).detach().clone()
    fresh = TemporalDecoder(DecoderConfig(TAESD, "SD"))  # changes nothing by itself
    save_decoder(folder, fresh, image={name: brought})
    temporal = open_temporal_decoder(vae, folder.name)
    latent = torch.randn(2, 4, 4, 4)
    with torch.inference_mode():
        before, shown = vae.decode(latent), temporal.decode(latent)
        inside = temporal.first_stage_model.autoencoder
        assert torch.equal(inside.get_parameter(name), brought)
        as_used(vae.patcher)
        vae.first_stage_model.get_submodule(name.removesuffix(".weight")).weight_function[0].weight.copy_(
            brought
        )
        expected = vae.decode(latent)
    assert not torch.equal(before, expected)
    assert torch.equal(shown, expected)


def test_a_video_decoder_takes_the_encoder_alone(host, tmp_path):
    from diffusers import AutoencoderKLTemporalDecoder
    from video_ldm.nodes.host.film.vae import with_temporal_decoder
    from video_ldm.temporal.weights.files import read_weights, write_weights

    vae = make_vae()
    as_used(vae.patcher)
    torch.manual_seed(0)
    svd = AutoencoderKLTemporalDecoder(
        down_block_types=("DownEncoderBlock2D",) * 4, block_out_channels=(32,) * 4, layers_per_block=2
    )
    write_weights(tmp_path / "svd.safetensors", svd.state_dict(), {})
    video = with_temporal_decoder(vae, read_weights(tmp_path / "svd.safetensors"))
    pixels = torch.rand(1, 16, 24, 3)
    with torch.inference_mode():
        assert torch.equal(video.encode(pixels), vae.encode(pixels))
        assert torch.isfinite(video.decode(latents(2))).all()
    # a decoder that was taken out stays so in the next one
    again = with_temporal_decoder(vae, read_weights(tmp_path / "svd.safetensors"))
    assert torch.equal(again.decode(latents(2)), video.decode(latents(2)))
    assert left_behind(video.first_stage_model) == left_behind(again.first_stage_model) == set()


def left_behind(module: torch.nn.Module) -> set[str]:
    """Things that a patcher left in a module or below it."""
    return {name for part in module.modules() for name in vars(part) if name in ("_v_weight", "dynamic_pins")}


def test_training_starts_from_a_decoder_of_its_own(vae):
    from video_ldm.nodes.host.training.vae import open_for_training
    from video_ldm.temporal.training.decoder.config import DecoderTrainingConfig

    trainable = open_for_training(vae, "SD", None, DecoderTrainingConfig(image_learning_rate=1e-5))
    theirs = dict(vae.first_stage_model.named_parameters())
    for name, weight in trainable.autoencoder.named_parameters():
        assert torch.equal(weight, theirs[name].float()) and weight.data_ptr() != theirs[name].data_ptr()
        assert not weight.is_inference() and weight.dtype == torch.float32
    assert left_behind(trainable.autoencoder) == set()


def test_weights_that_were_replaced_while_loaded_come_from_the_file(vae):
    """A newer host casts small weights when it loads and keeps those of the file aside."""
    from types import SimpleNamespace

    from video_ldm.nodes.host.film.autoencoders import second_autoencoder

    name = "taesd_decoder.1.bias"
    kept = vae.first_stage_model.get_parameter(name)
    module = vae.first_stage_model.get_submodule("taesd_decoder.1")
    vae.patcher.backup[name] = SimpleNamespace(weight=kept)
    module.bias = torch.nn.Parameter(kept.detach() + 1, requires_grad=False)
    assert torch.equal(second_autoencoder(vae, torch.float32).get_parameter(name), kept.float())


def test_another_kind_of_vae_is_refused(host, tmp_path):
    from types import SimpleNamespace

    from video_ldm.nodes.host.film.autoencoders import second_autoencoder
    from video_ldm.temporal.errors import IncompatibleModelError

    strange = SimpleNamespace(first_stage_model=torch.nn.Linear(2, 2), patcher=None)
    with pytest.raises(
        IncompatibleModelError, match="go with KL and TAESD autoencoders; this VAE is a Linear"
    ):
        second_autoencoder(strange, torch.float32)


def test_an_upscaler_is_trained_on_from_the_weights_of_its_file(host):
    import comfy.model_management as mm
    import comfy.ops
    from video_ldm.nodes.host.film.upscaler import HostUpscaler
    from video_ldm.nodes.host.patcher import new_patcher
    from video_ldm.nodes.host.training.upscaler import copy_of
    from video_ldm.temporal.upscaler import UpscaleSettings, VideoUpscaler
    from video_ldm.tests.temporal.upscaler.tiny import random_upscaler

    source = random_upscaler()
    hosted = VideoUpscaler(source.config, ops=comfy.ops.manual_cast)
    hosted.load_state_dict(source.state_dict())
    patcher = new_patcher(hosted, mm.unet_offload_device())
    as_used(patcher)
    copy = copy_of(HostUpscaler(patcher, UpscaleSettings()))
    assert all(torch.equal(copy.state_dict()[key], weight) for key, weight in source.state_dict().items())
    assert left_behind(copy) == set()
