"""SparseCtrl as a ControlNet of the host: it goes through Apply ControlNet like any other.

Shapes: b chunks, f frames, k given frames, c channels, h w size.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.cldm.cldm
import comfy.controlnet
import comfy.latent_formats
import comfy.model_management as mm
import comfy.ops
import comfy.utils
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import TimestepEmbedSequential
from torch import Tensor

from ....temporal.errors import IncompatibleModelError, InvalidInputError
from ....temporal.formats.keys import check_keys, check_shape
from ....temporal.formats.sparse_control import EMBEDDING, FAMILY, SparseControlFile, open_sparse_control
from ....temporal.sampling.clip import Clip
from ....temporal.sampling.known_frames import place
from ....temporal.stack.plan import UNetShape
from ....temporal.stack.stack import StackConfig, TemporalStack
from ....temporal.weights.files import assign_weights
from ....temporal.weights.shapes import shapes_of
from ..patcher import new_patcher
from .hooks import inserted

logger = logging.getLogger(__name__)

CONDITION_CHANNELS = {"rgb": 4, "scribble": 3}  # beside them a mask: 1 where a frame is given
PIXELS = 8  # per latent, of the host's VAEs for SD 1.x and of the scribbles' embedding


@dataclass(frozen=True)
class Places:
    """Places of the given frames in a clip, as in Known Frames."""

    pattern: str
    every: int = 4
    indices: str = ""


class SparseControlModel(comfy.cldm.cldm.ControlNet):
    """The host's ControlNet of SD 1.x, with motion modules in it while it runs.

    It does not see the clip's noisy latents.
    """

    def __init__(self, kind: str, stack: TemporalStack, **kwargs: Any) -> None:
        super().__init__(
            hint_channels=CONDITION_CHANNELS[kind] + 1, **_host_config(stack.config.unet), **kwargs
        )
        if kind == "rgb":  # latents are as small as the UNet's input already
            self.input_hint_block = TimestepEmbedSequential(
                kwargs["operations"].conv_nd(
                    2,
                    CONDITION_CHANNELS[kind] + 1,
                    self.model_channels,
                    3,
                    padding=1,
                    dtype=kwargs["dtype"],
                    device=kwargs["device"],
                )
            )
        self.stack = stack

    def forward(self, x: Tensor, hint: Tensor, *args: Any, num_frames: int, **kwargs: Any) -> dict:
        """Residuals of the UNet's blocks for clips ((b f) c h w), from a hint with as many frames."""
        clip = self.stack.prepare(Clip(num_frames), x)
        with inserted(self, self.stack, clip):
            return super().forward(torch.zeros_like(x), hint, *args, **kwargs)


class SparseControl(comfy.controlnet.ControlNet):
    """The host's handle on it.

    The images from Apply ControlNet are given at their places, all other frames are empty.
    """

    # the host declares them with None, their first value
    control_model: Any
    cond_hint_original: Any
    latent_format: Any
    multigpu_clones: dict[Any, SparseControl]  # of newer hosts

    def __init__(self, places: Places, needs_vae: bool, path: str, *args: Any, **kwargs: Any) -> None:
        latent_format = comfy.latent_formats.SD15() if needs_vae else None
        super().__init__(
            *args, compression_ratio=1 if needs_vae else PIXELS, latent_format=latent_format, **kwargs
        )
        self.places, self.needs_vae, self.path = places, needs_vae, path
        self.window: tuple[list[int], int] | None = None  # frames of a longer clip, and its length
        # encoded images by size, one dictionary for all windows
        self._given: dict[tuple[int, int], Tensor] = {}

    def get_control(
        self, x_noisy: Tensor, t: Tensor, cond: Mapping, batched_number: int, transformer_options: Mapping
    ) -> Any:
        """Compute the host's control, with the hint of a whole clip."""
        _check_base(self.control_model.stack.config, cond["c_crossattn"].shape[-1])
        num_frames = len(x_noisy) // batched_number
        self.extra_args["num_frames"] = num_frames
        self.cond_hint = self._hint(x_noisy, num_frames)
        return super().get_control(x_noisy, t, cond, batched_number, transformer_options)

    def for_window(self, frames: list[int], num_frames: int) -> SparseControl:
        """Control for some frames of a clip of `num_frames`, or for those that it sees now."""
        if self.window is not None:
            seen, num_frames = self.window
            frames = [seen[frame] for frame in frames]
        own = copy.copy(self)
        own.extra_args, own.window = dict(self.extra_args), (list(frames), num_frames)
        others = getattr(self, "multigpu_clones", {}).items()
        own.multigpu_clones = {device: other.for_window(frames, num_frames) for device, other in others}
        return own

    def given_at(self, frames: list[int], num_frames: int) -> list[tuple[int, int]]:
        """Places of the images in such a window: pairs (frame of the window, number of the image)."""
        places, given = self.places, len(self.cond_hint_original)
        images = dict(place(places.pattern, given, num_frames, places.every, places.indices))
        return [(number, images[frame]) for number, frame in enumerate(frames) if frame in images]

    def copy(self) -> SparseControl:
        """Copy as the host's ControlNet does: the same weights."""
        own = SparseControl(self.places, self.needs_vae, self.path, None, load_device=self.load_device)
        own.control_model, own.control_model_wrapped = self.control_model, self.control_model_wrapped
        own.manual_cast_dtype = self.manual_cast_dtype
        self.copy_to(own)
        return own

    def deepclone_multigpu(self, load_device: torch.device, autoregister: bool = False) -> SparseControl:
        """Read once more for a second device of newer hosts, since a loaded network must not be copied."""
        own = self.copy()
        own.control_model = load_sparse_control(self.path, self.places)[0].control_model
        own.control_model_wrapped = new_patcher(own.control_model, mm.unet_offload_device(), load_device)
        if autoregister:
            self.multigpu_clones[load_device] = own
        return own

    def cleanup(self) -> None:
        """Let go of what one sampling needed."""
        self._given.clear()
        super().cleanup()

    def _hint(self, x: Tensor, num_frames: int) -> Tensor:
        """Condition and mask (f c+1 h w): zeros where no frame is given."""
        longest = self.control_model.stack.config.max_frames
        if num_frames > longest:
            raise InvalidInputError(
                f"The clip has {num_frames} frames; SparseCtrl was made for at most {longest}. Make it "
                "shorter, or add Video Windows to the model."
            )
        frames, total = self.window or (list(range(num_frames)), num_frames)
        size = (x.shape[2], x.shape[3])
        if size not in self._given:
            self._given[size] = self._encoded(*size)
        given = self._given[size]
        hint = given.new_zeros(len(frames), given.shape[1] + 1, *given.shape[2:])
        for frame, number in self.given_at(frames, total):
            hint[frame, :-1], hint[frame, -1] = given[number], 1
        return hint.to(x.device, self.manual_cast_dtype or self.control_model.dtype)

    def _encoded(self, height: int, width: int) -> Tensor:
        """The given images (k c h w), as pixels or as latents in the sampler's scale."""
        size = (PIXELS * width, PIXELS * height)
        images = comfy.utils.common_upscale(
            self.cond_hint_original[:, :3], *size, self.upscale_algorithm, "center"
        )
        if not self.needs_vae:
            return images
        if self.vae is None:
            raise InvalidInputError(
                "SparseCtrl for RGB frames encodes them, but Apply ControlNet has no VAE; connect the VAE "
                "of the checkpoint to it."
            )
        found = mm.loaded_models(only_currently_used=True)
        loaded = [model for model in found if model is not None]  # a model that nobody holds any more is None
        latents = torch.cat([self.vae.encode(image[None].movedim(1, -1)) for image in images])
        mm.load_models_gpu(loaded)
        return self.latent_format.process_in(latents)


def load_sparse_control(path: str, places: Places) -> tuple[SparseControl, str]:
    """CONTROL_NET from a file of SparseCtrl, and its report, which is also logged.

    Raises CheckpointFormatError for another or a damaged file.
    """
    load_device = mm.get_torch_device()
    file, name = open_sparse_control(path, comfy.ops.manual_cast), Path(path).name
    dtype = mm.unet_dtype(weight_dtype=comfy.utils.weight_dtype(dict(file.weights)))
    manual_cast = mm.unet_manual_cast(dtype, load_device)
    model = SparseControlModel(
        file.kind, file.stack, dtype=dtype, device="meta", operations=comfy.ops.manual_cast
    )
    shapes = shapes_of(lambda ops: _plain(file, ops))
    weights = _named_as_here(name, file, shapes)
    stack = {f"stack.{key}": weight for key, weight in file.stack.state_dict().items()}
    assign_weights(model, {**weights, **stack}, name, shapes, dtype, mm.unet_offload_device())
    devices = {"load_device": load_device, "manual_cast_dtype": manual_cast}
    control = SparseControl(places, file.kind == "rgb", path, model.eval(), **devices)
    logger.info("%s: %s", name, file.report)
    return control, file.report


def _plain(file: SparseControlFile, ops: Any) -> SparseControlModel:
    """The whole network of a file, made of other layers than the host's."""
    stack = TemporalStack(file.stack.config, ops)
    return SparseControlModel(file.kind, stack, dtype=torch.float32, device="meta", operations=ops)


def _check_base(config: StackConfig, text_width: int) -> None:
    if text_width != config.unet.context_dim:
        raise IncompatibleModelError(
            f"SparseCtrl was made for {config.base}, whose text is {config.unet.context_dim} wide, but "
            f"that of the image model is {text_width} wide. Load a checkpoint of {config.base}."
        )


def _host_config(unet: UNetShape) -> dict[str, Any]:
    return {
        **{"image_size": 32, "in_channels": unet.in_channels, "model_channels": unet.model_channels},
        **{"num_res_blocks": list(unet.num_res_blocks), "channel_mult": list(unet.channel_mult)},
        **{"transformer_depth": list(unet.transformer_depth), "context_dim": unet.context_dim},
        **{"transformer_depth_output": list(unet.transformer_depth_output)},
        **{"transformer_depth_middle": unet.transformer_depth_middle, "use_spatial_transformer": True},
        **{"num_heads": unet.num_heads, "num_head_channels": unet.num_head_channels, "legacy": False},
    }


def _named_as_here(name: str, file: SparseControlFile, own: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """The weights of the ControlNet by the host's names, of which `own` are the shapes.

    CheckpointFormatError where they do not fit.
    """
    names = {theirs: ours for theirs, ours in names_in_files(file).items() if ours in own}
    check_keys(name, FAMILY, names.keys() - file.weights.keys(), file.weights.keys() - names.keys())
    for theirs, ours in names.items():
        check_shape(name, FAMILY, theirs, file.weights[theirs], own[ours])
    return {names[key]: tensor for key, tensor in file.weights.items()}


def names_in_files(file: SparseControlFile) -> dict[str, str]:
    """The host's name of every weight that a ControlNet of this shape may have, by its name in files."""
    unet = file.stack.config.unet
    pairs = {f"controlnet_down_blocks.{n}": f"zero_convs.{n}.0" for n in range(_input_blocks(unet))}
    pairs["controlnet_mid_block"] = "middle_block_out.0"
    layers = ["conv_in", *(f"blocks.{n}" for n in range(6)), "conv_out"]  # with activations between
    hint = {f"{EMBEDDING}.{layer}": f"input_hint_block.{2 * n}" for n, layer in enumerate(layers)}
    pairs |= {EMBEDDING: "input_hint_block.0"} if file.kind == "rgb" else hint
    leaves = {f"{key}.{leaf}": f"{own}.{leaf}" for key, own in pairs.items() for leaf in ("weight", "bias")}
    return comfy.utils.unet_to_diffusers(_host_config(unet)) | leaves


def _input_blocks(unet: UNetShape) -> int:
    """The first convolution, the blocks of every level, and the downsamplings between levels."""
    return sum(unet.num_res_blocks) + len(unet.channel_mult)
