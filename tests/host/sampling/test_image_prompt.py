"""Image Prompt and VideoCrafter 1 for image to video, against a slow oracle around the reference's UNet."""

from __future__ import annotations

import pytest
import torch
from video_ldm.tests.reference_picture import projected

from ..families import video_rig as rig

FPS = 8.0
TOLERANCE = 1e-4
PATCHES = 11


class Encoder:
    """In the place of CLIP: what it says is the mean colour of the picture, in many shades."""

    features = 12

    def encode_image(self, image, crop=True):
        assert not crop and image.shape[1:] == (6, 10, 3)
        torch.manual_seed(4)
        shades = torch.randn(PATCHES, self.features, 3)
        return {"last_hidden_state": (shades @ image.mean((0, 1, 2)))[None]}


@pytest.fixture
def sizes(host, monkeypatch):
    """The family in a size for tests: the sizes of its projector."""
    import comfy.supported_models as supported
    from video_ldm.temporal import formats
    from video_ldm.temporal.formats import lvdm
    from video_ldm.temporal.stack import plan

    picture = {"features": Encoder.features, "tokens": 3, "width": 16, "heads": 2, "depth": 2}
    rig.narrow_projector(monkeypatch, formats, picture)
    monkeypatch.setattr(supported, "models", [*supported.models, *rig.tiny_kinds()])
    monkeypatch.setattr(lvdm, "SHAPE", rig.tiny_shape(plan))
    return picture


@pytest.fixture
def published(sizes):
    """The reference, the processors of its attention, its projector, and all weights as published."""
    unet = rig.modelscope()
    rate = rig.frame_rate_weights()
    rig.add_frame_rate(unet, rate, FPS)
    processors, attention = rig.add_picture_attention(unet)
    projector = rig.projector_weights(**sizes)
    weights = rig.videocrafter_as_published(unet, rate | attention, convs=True)
    weights |= {f"image_proj_model.{name}": tensor for name, tensor in projector.items()}
    return unet, processors, projector, weights


def prompted(image=None, encoder=None):
    """Fields that Image Prompt puts beside the positive and the negative text."""
    from video_ldm.nodes.image_prompt import ImagePrompt

    torch.manual_seed(5)
    image = torch.rand(1, 6, 10, 3) if image is None else image
    text = [[torch.zeros(1, 7, rig.TEXT), {}]]
    both = ImagePrompt.execute(text, text, encoder or Encoder(), image).result
    assert text[0][1] == {}
    return [conditioning[0][1] for conditioning in both]


def features_of(options):
    from video_ldm.nodes.host.layers.per_frame import PICTURE_COND

    return options["model_conds"][PICTURE_COND].cond[0]


@pytest.mark.parametrize("frames", [1, 4])
def test_it_is_the_reference(load_model, published, frames):
    unet, processors, projector, weights = published
    model, report = load_model(weights)
    assert report.startswith("VideoCrafter1 for image to video (original file)")
    assert f"Keys: {len(weights)} used" in report and "Image Prompt" in report
    both = prompted()
    assert torch.equal(
        features_of(both[1]),
        Encoder().encode_image(torch.full((1, 6, 10, 3), 0.5), False)["last_hidden_state"][0],
    )
    call = rig.one_call(model, frames, *both)
    for processor in processors:
        processor.tokens = [projected(projector, features_of(both[chunk])) for chunk in call.chunks]
    assert rig.error(call.out, rig.modelscope_out(unet, call, frames)) < TOLERANCE
    for processor in processors:
        processor.tokens.reverse()
    assert rig.error(call.out, rig.modelscope_out(unet, call, frames)) > 20 * TOLERANCE


def test_it_samples_with_both_samplers_and_in_windows(load_model, published):
    from video_ldm.nodes.windows import VideoWindows

    from ..rig import Rig

    model, _ = load_model(published[3])
    rig_of_host, both = Rig(), prompted()
    texts = [[[torch.randn(1, 7, rig.TEXT), options]] for options in both]
    rig_of_host.positive, rig_of_host.negative = texts
    host, ours = rig_of_host.sample(model), rig_of_host.sample_video(model)["samples"]
    assert bool(torch.isfinite(host).all()) and torch.equal(host, ours)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.model.modules())
    windowed = VideoWindows.execute(
        model, 3, 1, False, "standard_static", "pyramid", repeated_noise=False
    ).result[0]
    assert bool(torch.isfinite(rig_of_host.sample_video(windowed)["samples"]).all())


def test_without_a_picture_it_is_refused_before_sampling(load_model, published):
    from video_ldm.temporal.errors import IncompatibleModelError

    model, _ = load_model(published[3])
    with pytest.raises(IncompatibleModelError, match="Put Image Prompt between both texts and the sampler"):
        rig.one_call(model)
    with pytest.raises(IncompatibleModelError, match="Put Image Prompt"):
        rig.one_call(model, positive=prompted()[0], negative={})


def test_another_image_encoder_and_two_pictures_are_refused(load_model, published):
    from video_ldm.temporal.errors import IncompatibleModelError, InvalidInputError

    other = Encoder()
    other.features = 9
    model, _ = load_model(published[3])
    with pytest.raises(
        IncompatibleModelError, match=r"gives 9 numbers for a patch, .* reads 12\. Load CLIP ViT"
    ):
        rig.one_call(model, 2, *prompted(encoder=other))
    with pytest.raises(InvalidInputError, match="was given 2 images, but a clip is prompted with 1"):
        prompted(torch.rand(2, 6, 10, 3))


def test_a_unet_without_its_projector_is_named(load_model, published):
    from video_ldm.temporal.errors import CheckpointFormatError

    bare = {key: value for key, value in published[3].items() if not key.startswith("image_proj_model")}
    with pytest.raises(CheckpointFormatError, match=r"missing: image_proj_model\.latents"):
        load_model(bare)


def test_at_strength_zero_the_picture_does_nothing_either(load_model, published):
    model, _ = load_model(published[3], strength=0.0)
    plain = model.clone()
    plain.additional_models, plain.wrappers, plain.attachments = {}, {}, {}
    assert torch.equal(rig.one_call(model, 2, *prompted()).out, rig.one_call(plain, 2).out)
