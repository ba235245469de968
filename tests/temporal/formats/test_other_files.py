"""Wrong files are recognised, and the message says where they belong."""

import pytest
import torch
from safetensors.torch import save_file
from video_ldm.temporal.decoder import TAESD, DecoderConfig, TemporalDecoder, save_decoder
from video_ldm.temporal.errors import CheckpointFormatError
from video_ldm.temporal.formats import load_stack

UNET = "model.diffusion_model.input_blocks.1.0.in_layers.0.weight"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            [UNET, "first_stage_model.decoder.conv_in.weight"],
            "checkpoint of an image model; load it with Load Checkpoint",
        ),
        (["lora_unet_down_blocks_0_attentions_0.lora_up.weight"], "a LoRA; load it with a LoRA loader"),
        (["unet.down_blocks.0.attentions.0.lora_A.weight"], "a LoRA; load it with a LoRA loader"),
        (["decoder.conv_in.weight", "encoder.conv_in.weight"], "a VAE; load it with Load VAE"),
        (["taesd_decoder.1.weight"], "a TAESD autoencoder; load it with Load VAE"),
        (["control_model.zero_convs.0.0.weight"], "a ControlNet"),
        (["motion_modules.0.norm.weight"], "of the AnimateDiff kind, in a spelling that is not known"),
        (["model.diffusion_model.input_blocks.1.0.time_stack.in_layers.0.weight", UNET], "whole video model"),
        (["text_model.encoder.layers.0.mlp.fc1.weight"], "a text encoder; load it with Load CLIP"),
        (["down_blocks.0.resnets.0.conv1.weight"], "a diffusion model on its own"),
        (["emb_params"], "a textual inversion"),
        (["weight"], r"of no known kind \(weight\)"),
        ([], r"of no known kind \(there are none\)"),
    ],
)
@pytest.mark.parametrize("save", [save_file, torch.save], ids=["safetensors", "pickle"])
def test_wrong_file_is_named(tmp_path, keys, message, save):
    path = tmp_path / "wrong"
    save({key: torch.zeros(1) for key in keys}, path)
    with pytest.raises(CheckpointFormatError, match=f"^wrong holds no temporal layers: .*{message}"):
        load_stack(path)


def test_state_dict_inside_a_training_checkpoint_is_looked_into(tmp_path):
    torch.save({"state_dict": {UNET: torch.zeros(1)}, "global_step": 3}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointFormatError, match="checkpoint of an image model"):
        load_stack(tmp_path / "a.ckpt")


@pytest.mark.parametrize("wrapper", ["module", "controlnet", "ema", "model"])
def test_what_trainers_wrap_around_weights_is_opened(tmp_path, wrapper):
    torch.save({wrapper: {"state_dict": {UNET: torch.zeros(1)}}, "opt": {}}, tmp_path / "a.ckpt")
    with pytest.raises(CheckpointFormatError, match="checkpoint of an image model"):
        load_stack(tmp_path / "a.ckpt")


def test_a_list_of_matrices_is_a_lora_of_motiondirector(tmp_path):
    torch.save([torch.zeros(8, 2), torch.zeros(2, 8)], tmp_path / "unet.pt")
    with pytest.raises(CheckpointFormatError, match="a LoRA of MotionDirector"):
        load_stack(tmp_path / "unet.pt")


def test_temporal_decoder_is_named(tmp_path):
    save_decoder(tmp_path / "a.safetensors", TemporalDecoder(DecoderConfig(TAESD, base="SD")))
    with pytest.raises(
        CheckpointFormatError, match=r"a temporal decoder; it belongs in models/temporal_decoders"
    ):
        load_stack(tmp_path / "a.safetensors")
