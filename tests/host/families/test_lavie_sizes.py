"""LaVie's families in the sizes that are published: what the host makes of their image models.

Weights take no memory.
"""

from __future__ import annotations

import pytest
import torch

RECOGNISED = {
    "lavie_base": ("SD15", 4),
    "seine": ("SD15", 9),
    "lavie_interpolation": ("SD15_instructpix2pix", 8),
}


@pytest.mark.parametrize("name", RECOGNISED)
def test_the_host_recognises_the_image_models(host, monkeypatch, name):
    from comfy.model_detection import model_config_from_unet
    from video_ldm.temporal import formats
    from video_ldm.temporal.formats import inside, keys
    from video_ldm.temporal.stack.plan import UNetShape
    from video_ldm.tests.temporal.formats.test_listings import published, same_keys_and_shapes

    monkeypatch.setattr(inside, "assign_weights", same_keys_and_shapes)
    monkeypatch.setattr(keys, "check_numbers", lambda *_: None)
    monkeypatch.setattr(formats, "read_weights", lambda _: published(name))
    video = formats.open_video_model("ignored")
    config = model_config_from_unet(dict(video.image), "")
    assert (type(config).__name__, config.unet_config["in_channels"]) == RECOGNISED[name]
    assert video.stack.config.unet == UNetShape.from_config(config.unet_config)


def test_the_upscaler_is_the_hosts(host):
    """Every place of the layers exists in the host's UNet, made on no device, and every weight is named."""
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel
    from comfy.model_detection import model_config_from_unet
    from video_ldm.temporal.formats.lavie import UPSCALER
    from video_ldm.temporal.stack.plan import X4, UNetShape
    from video_ldm.temporal.stack.stack import TemporalStack
    from video_ldm.tests.temporal.formats.test_listings import published

    weights = published("lavie_vsr").tensors
    image = {host: weights[key] for host, key in UPSCALER.image_keys().items()}
    config = model_config_from_unet(image, "")
    assert type(config).__name__ == "SD_X4Upscaler"
    assert UNetShape.from_config(config.unet_config) == X4
    settings = {
        key: value[:] if isinstance(value, list) else value for key, value in config.unet_config.items()
    }
    with torch.device("meta"):
        unet = UNetModel(**{**settings, "dtype": torch.float32})
    assert {key: weight.shape for key, weight in unet.state_dict().items()} == {
        key: weight.shape for key, weight in image.items()
    }
    stack = TemporalStack(UPSCALER.stack_config(), device="meta")
    for site in stack.sites:
        module = unet.get_submodule(site.path)
        if site.kind == "inside":
            assert module.n_heads == site.heads and module.norm3.normalized_shape == (site.channels,)
        if site.kind == "volume":
            assert module.out_channels == site.channels
        if site.kind == "level_in":
            assert module.channels == site.channels
    # with a table of positions
    assert sum(weight.numel() for weight in stack.parameters()) == 217_638_416 - 16
