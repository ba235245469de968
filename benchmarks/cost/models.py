"""SD 1.5 with AnimateDiff v2 layers of random weights, in the host and in diffusers.

All of them share one set of tensors.

Import it before anything of the host's: it starts the host's code in this process, without a server.

Shapes: b chunks, f frames, c latent channels, h w latent size, m text tokens, e text channels.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...demo import environment
from ...temporal.formats import motion_modules
from ...temporal.formats.motion_adapter import DIFFUSERS
from ...temporal.stack.plan import SD1, UNetShape
from ...temporal.weights.files import WeightsFile

TABLE, TOKENS = 32, 77  # frames that AnimateDiff v2 knows; tokens of a text


@dataclass
class Models:
    """The host's MODEL without and with layers, diffusers' networks without and with layers."""

    shape: UNetShape
    host: Any
    host_video: Any
    image: Any
    video: Any


def start_host(cpu: bool = True) -> None:
    """Make the host's modules importable, as its main.py does."""
    sys.argv = [sys.argv[0], *(["--cpu"] if cpu else [])]
    sys.path.insert(0, str(environment.host_path()))
    import comfy.options

    comfy.options.enable_args_parsing()


def narrowed(parts: int) -> UNetShape:
    """SD 1.x with a part of its channels."""
    return replace(SD1, model_channels=max(32, SD1.model_channels // parts // 32 * 32))


def reference(shape: UNetShape) -> Any:
    """diffusers' UNetMotionModel with random weights, every motion module with a say of its own."""
    from diffusers import UNetMotionModel

    torch.manual_seed(0)
    unet = UNetMotionModel(
        block_out_channels=tuple(shape.channels(level) for level in range(len(shape.channel_mult))),
        cross_attention_dim=shape.context_dim,
        num_attention_heads=shape.num_heads,
        motion_max_seq_length=TABLE,
        use_motion_mid_block=True,
    ).eval()
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if "motion_modules" in name and name.endswith("proj_out.weight"):
                parameter.normal_(std=0.02)  # born as zero
    return unet.requires_grad_(False)


def motion_weights(unet: Any, half: bool = False) -> dict[str, Tensor]:
    """A MotionAdapter file: the motion modules in diffusers' spelling, on request in half precision."""
    found = {key: value for key, value in unet.state_dict().items() if ".motion_modules." in key}
    return {key: value.half() for key, value in found.items()} if half else found


def image_unet(unet: Any, shape: UNetShape) -> Any:
    """diffusers' UNet2DConditionModel with the spatial weights of the reference, the same tensors."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        image = UNet2DConditionModel(
            block_out_channels=tuple(shape.channels(level) for level in range(len(shape.channel_mult))),
            cross_attention_dim=shape.context_dim,
            attention_head_dim=shape.num_heads,  # diffusers calls the number of heads so
        ).eval()
    weights = unet.state_dict()
    image.load_state_dict({key: weights[key] for key in image.state_dict()}, assign=True)
    return image.requires_grad_(False)


def host_config(shape: UNetShape) -> dict[str, Any]:
    """The host's description of a UNet of this shape."""
    listed = ("channel_mult", "num_res_blocks", "transformer_depth", "transformer_depth_output")
    single = ("model_channels", "context_dim", "num_heads", "num_head_channels", "transformer_depth_middle")
    return {
        **{name: list(getattr(shape, name)) for name in listed},
        **{name: getattr(shape, name) for name in single},
        **{"image_size": 32, "in_channels": 4, "out_channels": 4, "legacy": False, "adm_in_channels": None},
        **{
            "use_spatial_transformer": True,
            "use_linear_in_transformer": False,
            "use_temporal_attention": False,
        },
    }


def host_weights(unet: Any, shape: UNetShape) -> dict[str, Tensor]:
    """The spatial weights of the reference under the host's names."""
    import comfy.utils

    names = comfy.utils.unet_to_diffusers(host_config(shape))
    return {names[key]: value for key, value in unet.state_dict().items() if key in names}


def host_model(unet: Any, shape: UNetShape) -> Any:
    """MODEL of the host with the spatial weights of the reference, the same tensors."""
    import comfy.model_management as mm
    import comfy.model_patcher
    import comfy.supported_models as supported

    config = host_config(shape)
    model_config = supported.SD15(dict(config))
    model_config.unet_config = config
    model_config.set_inference_dtype(next(unet.parameters()).dtype, None)
    model = model_config.get_model({}, "")
    model.diffusion_model.load_state_dict(host_weights(unet, shape), assign=True)
    return comfy.model_patcher.ModelPatcher(model, mm.get_torch_device(), mm.unet_offload_device())


def add_layers(model: Any, unet: Any, shape: UNetShape, half: bool = False) -> Any:
    """The MODEL with the motion modules of the reference, through the pack's own loader."""
    import comfy.model_management as mm
    import comfy.ops

    from ...nodes.host.layers.attached.settings import LayerSettings
    from ...nodes.host.layers.insertion import add_temporal_layers
    from ...nodes.host.patcher import new_patcher

    motion_modules.BASES = {4: ("SD 1.x", shape)}
    device = mm.unet_offload_device()
    file = WeightsFile(Path("reference"), {}, motion_weights(unet, half))
    stack, _ = DIFFUSERS.load(file, comfy.ops.manual_cast, None, device)
    return add_temporal_layers(model, new_patcher(stack, device), LayerSettings())


def build(parts: int = 1, half_layers: bool = False) -> Models:
    """All of them, after `start_host`: in float32 on a CPU, in float16 on another device of the host's.

    `half_layers`: on a CPU too, the host's layers stay as a half-precision file has them.
    """
    import comfy.model_management as mm

    shape, device = narrowed(parts), mm.get_torch_device()
    unet = reference(shape)
    if device.type != "cpu":
        unet = unet.to(device, torch.float16)
    host = host_model(unet, shape)
    return Models(shape, host, add_layers(host, unet, shape, half_layers), image_unet(unet, shape), unet)


def texts(shape: UNetShape) -> tuple[Tensor, Tensor]:
    """Random texts (1 m e): what should be seen, and what should not."""
    dice = torch.Generator().manual_seed(1)
    positive, negative = torch.randn(2, 1, TOKENS, shape.context_dim, generator=dice)
    return positive, negative
