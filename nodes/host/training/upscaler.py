"""Training of a video upscaler inside a graph, on images of the size that enlarged ones should have.

Shapes: images (f h w 3) in 0..1.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ....temporal.training.data.patches import Patches
from ....temporal.training.upscaler import UpscalerTrainer, UpscalerTrainingConfig, write_upscaler
from ....temporal.upscaler import UpscalerConfig, UpscaleSettings, VideoUpscaler
from ..files import VIDEO_UPSCALERS, new_path
from ..film.upscaler import HostUpscaler, open_upscaler
from ..patcher import original_weights
from .models import training_device
from .run import frame_store, run_to_file, state_path

SCALE, PATCH, CHANNEL_MULT, RES_BLOCKS, HEADS = 4, 4, (1, 2, 3), 2, 8  # of a new upscaler
PART = ".upscaler"  # in the name of a state


@dataclass(frozen=True)
class PatchSettings:
    """Settings of the patches of a step and of a new upscaler; `side` in given pixels."""

    side: int
    batch: int
    channels: int
    max_noise_level: float


def train_upscaler_on_images(
    images: Tensor,
    clip_length: int,
    name: str,
    start: HostUpscaler | None,
    seen: PatchSettings,
    config: UpscalerTrainingConfig,
    resume: bool,
) -> tuple[HostUpscaler, str, str]:
    """Train an upscaler, a new one or a copy of `start`.

    Ready for use, its file's name in `models/video_upscalers`, and a line about it.

    A stopped run keeps what it has learned; with the same settings, `resume` goes on from there.
    """
    path = new_path(VIDEO_UPSCALERS, name)
    shape = start.config if start is not None else new_config(seen, config)
    patches = Patches(
        frame_store(images, clip_length), seen.batch, config.num_frames, seen.side, shape.scale, config.seed
    )
    patches.check(shape)
    state = state_path(path.stem + PART)
    device = training_device()
    with torch.inference_mode(False), torch.enable_grad():
        upscaler = copy_of(start) if start is not None else new_upscaler(patches, shape, config.seed)
        training = UpscalerTrainer(upscaler.to(device), patches, config, device.type)
        settings = [config.to_json(), upscaler.config.to_json(), vars(seen), clip_length, start is not None]
        same, save = json.dumps(settings), lambda to: write_upscaler(to, training, {})
        made, line = run_to_file(training, state, same, resume, path, save)
    used = start.settings if start is not None else UpscaleSettings()
    return open_upscaler(made.name, used), made.name, line


def new_config(seen: PatchSettings, config: UpscalerTrainingConfig) -> UpscalerConfig:
    """Shape of a new upscaler, before its clips are measured.

    Raises InvalidInputError for channels its heads cannot share.
    """
    if seen.channels % HEADS:
        raise InvalidInputError(
            f"A new upscaler cannot have {seen.channels} channels, which are shared by {HEADS} heads; give "
            f"a multiple of {HEADS}."
        )
    return UpscalerConfig(
        scale=SCALE,
        patch=PATCH,
        channels=seen.channels,
        channel_mult=CHANNEL_MULT,
        num_res_blocks=RES_BLOCKS,
        heads=HEADS,
        max_frames=config.num_frames,
        residual_std=1.0,
        max_noise_level=seen.max_noise_level,
    )


def new_upscaler(patches: Patches, shape: UpscalerConfig, seed: int) -> VideoUpscaler:
    """An upscaler of a shape for what patches have beyond bicubic ones.

    Its layers in time change nothing yet.
    """
    torch.manual_seed(seed)
    return VideoUpscaler(patches.measured(shape))


def copy_of(start: HostUpscaler) -> VideoUpscaler:
    """An upscaler of its own in float32, with the same weights."""
    upscaler = VideoUpscaler(start.config)
    upscaler.load_state_dict(original_weights(start.patcher))
    return upscaler
