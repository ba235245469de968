"""A file in the wrong loader: one sentence says what it is, and which loader opens it."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from video_ldm.temporal import formats
from video_ldm.temporal.decoder import formats as decoders
from video_ldm.temporal.errors import CheckpointFormatError
from video_ldm.temporal.formats import sparse_control
from video_ldm.temporal.formats.motion_lora import read_motion_lora
from video_ldm.temporal.layers.motion import MotionConfig
from video_ldm.temporal.stack.plan import SD1
from video_ldm.temporal.stack.stack import StackConfig, TemporalStack
from video_ldm.temporal.upscaler import formats as upscalers
from video_ldm.temporal.weights.files import WeightsFile

from .test_listings import LISTINGS, LOADED, MODELS, NAMED, published

LAYERS = (
    "it holds temporal layers of {}; put it in models/temporal_layers and load it with Load Temporal Layers."
)
MODEL = (
    "it is {}, a whole video model: its image model was trained along; put it in models/diffusion_models "
    "and load it with Load Video Model."
)
SAID = {
    **{name: LAYERS.format(label.split(" (")[0]) for name, label in LOADED.items()},
    **{name: MODEL.format(label.split(" (")[0]) for name, label in MODELS.items()},
    **NAMED,
}
CONFIG = StackConfig(
    SD1, "SD 1.x", 32, False, False, family="AnimateDiff v2", motion=MotionConfig(True, False, False)
)
DOORS = {
    "Load Sparse Control": (sparse_control, lambda: sparse_control.open_sparse_control("ignored", nn)),
    "Load Temporal Decoder": (decoders, lambda: decoders.load_decoder("ignored")),
    "Load Video Upscaler": (upscalers, lambda: upscalers.load_upscaler("ignored")),
}
OPENED = {
    "Load Sparse Control": {"sparsectrl_rgb", "sparsectrl_scribble"},
    "Load Motion LoRA": {"animatediff_motion_lora", "diffusers_motion_lora", "motiondirector_lora"},
}


@pytest.fixture(scope="module")
def animatediff():
    return TemporalStack(CONFIG, device="meta")


@pytest.fixture
def sentence(monkeypatch, animatediff):
    """Put a file through a door that refuses it."""

    def refused(door, file: WeightsFile) -> str:
        with pytest.raises(CheckpointFormatError) as error:
            if door == "Load Motion LoRA":
                read_motion_lora(file, animatediff)
            else:
                module, open_file = DOORS[door]
                monkeypatch.setattr(module, "read_weights", lambda _: file)
                open_file()
        return str(error.value)

    return refused


@pytest.mark.slow
@pytest.mark.parametrize("door", [*DOORS, "Load Motion LoRA"])
def test_every_published_file_is_named_with_the_loader_that_opens_it(sentence, door):
    for name in LISTINGS.keys() - OPENED.get(door, set()):
        said = sentence(door, published(name))
        assert SAID[name] in said and "\n" not in said, name
        assert "not known" not in said and "Load Diffusion Model" not in said, name


@pytest.mark.parametrize("door", [*DOORS, "Load Motion LoRA"])
def test_what_trainers_write_before_the_keys_does_not_hide_a_family(sentence, door):
    file = published("animatediff_v2")
    wrapped = {f"module.{key}": value for key, value in file.tensors.items()}
    assert LAYERS.format("AnimateDiff v2") in sentence(door, WeightsFile(file.path, {}, wrapped))


@pytest.mark.parametrize("door", [*DOORS, "Load Motion LoRA"])
def test_modules_of_no_published_family_are_still_for_load_temporal_layers(sentence, door):
    odd = {f"down_blocks.{level}.motion_modules.0.temporal_transformer.norm.weight" for level in range(7)}
    file = WeightsFile(published("seine").path, {}, {key: torch.zeros(1) for key in odd})
    assert LAYERS.format("the AnimateDiff kind") in sentence(door, file)


def test_a_checkpoint_of_an_image_model_is_no_vae(monkeypatch):
    keys = ("model.diffusion_model.input_blocks.1.0.in_layers.0.weight", "first_stage_model.decoder.mid.bias")
    file = WeightsFile(published("seine").path, {}, {key: torch.zeros(1) for key in keys})
    monkeypatch.setattr(formats, "read_weights", lambda _: file)
    with pytest.raises(
        CheckpointFormatError, match=r"is no video model .*: it is a checkpoint of an image model"
    ):
        formats.open_video_model("ignored")


def test_a_motion_lora_for_other_layers_names_its_keys(sentence):
    key = "lora_unet_down_blocks_9_motion_modules_0_temporal_transformer_proj_in.lora_up.weight"
    file = WeightsFile(published("seine").path, {}, {key: torch.zeros(2, 2)})
    said = sentence("Load Motion LoRA", file)
    assert said == f"seine.ckpt is not a motion LoRA for AnimateDiff v2. Unknown: {key}."
    assert "it is a motion LoRA; put it in models/motion_lora" in sentence("Load Temporal Decoder", file)


def test_a_motion_lora_that_changes_nothing_is_refused(animatediff):
    v3 = TemporalStack(
        replace(CONFIG, family="AnimateDiff v3", motion=MotionConfig(False, False, False)), device="meta"
    )
    file = published("animatediff_motion_lora")
    middle = {key: value for key, value in file.tensors.items() if key.startswith("mid_block.")}
    with pytest.raises(CheckpointFormatError, match=r"for AnimateDiff v3\. Unknown: mid_block"):
        read_motion_lora(WeightsFile(file.path, {}, middle), v3)
    assert read_motion_lora(WeightsFile(file.path, {}, middle), animatediff).targets
