"""A pixel-space video upscaler on the host's devices, and what it needs there.

Shapes: n frames of a chunk, h w size of the given frames.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import comfy.model_management as mm
import comfy.ops
import torch
from torch import Tensor

from ....temporal.errors import InvalidInputError
from ....temporal.sampling.clip import Clip
from ....temporal.upscaler import UpscalerConfig, UpscaleSettings, load_upscaler, report_upscaler, upscale
from ....temporal.upscaler.estimate import UpscaleNeeds, upscale_needs
from ..files import VIDEO_UPSCALERS, full_path
from ..memory import CPU, GIB, free_memory, total_memory
from ..patcher import new_patcher
from ..progress import FrameProgress, say
from .frame_stream import CLEAR, PREVIEW_FPS

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class HostUpscaler:
    """Value of a VLDM_UPSCALER socket: an upscaler and the settings for its use."""

    patcher: Any
    settings: UpscaleSettings

    @property
    def config(self) -> UpscalerConfig:
        """Description of the upscaler."""
        return self.patcher.model.config

    @property
    def report(self) -> str:
        """Lines on what the file holds."""
        return report_upscaler(self.patcher.model)

    @property
    def load_device(self) -> Any:
        """Device that computes."""
        return self.patcher.load_device

    @property
    def scale(self) -> int:
        """Sides of the enlarged frames over those of the given ones."""
        return self.config.scale

    def estimate(self, frames: int, height: int, width: int) -> UpscaleNeeds:
        """Memory that a clip of given frames needs."""
        return upscale_needs(self.config, self.settings, frames, height, width)

    def stream(
        self, frames: Iterable[Tensor], after_call: Callable[[], None] = lambda: None
    ) -> Iterator[Tensor]:
        """Enlarged frames (1 4h 4w 3) of chunks (n h w 3), in order, each once.

        Memory does not grow with the clip.

        `after_call` is called after each call of the network. Raises InvalidInputError for frames it cannot
        take, and the host's interrupt.
        """
        made = upscale(self._predict(after_call), self.config, self._loading(frames), self.settings)
        while True:
            with torch.no_grad():
                frame = next(made, None)
            if frame is None:
                return
            yield frame

    def _loading(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """The chunks; the first one, whose size tells the memory that is needed, loads the weights."""
        loaded = False
        for chunk in frames:
            if not loaded and chunk.ndim == 4:
                window = self.settings.checked(self.config).window
                needs = self.estimate(window, *chunk.shape[1:3])
                mm.load_models_gpu([self.patcher], memory_required=needs.device)
                loaded = True
            yield chunk.to(CPU)

    def _predict(self, after_call: Callable[[], None]) -> Callable[..., Tensor]:
        device, dtype = self.load_device, compute_dtype(self.load_device)

        def predict(noisy: Tensor, given: Tensor, time: Tensor, level: Tensor, clip: Clip) -> Tensor:
            mm.throw_exception_if_processing_interrupted()
            noisy, given = noisy.to(device, dtype), given.to(device, dtype)
            v = self.patcher.model(noisy, given, time.to(device), level.to(device), clip)
            after_call()
            return v.to(CPU, torch.float32)

        return predict


def open_upscaler(name: str, settings: UpscaleSettings) -> HostUpscaler:
    """Open a file in `models/video_upscalers`; weights keep the file's precision. The report is also logged.

    Raises InvalidInputError for settings that the upscaler cannot use.
    """
    path = full_path(VIDEO_UPSCALERS, name)
    patcher = upscaler_again(path)
    settings.checked(patcher.model.config)
    patcher.cached_patcher_init = (upscaler_again, (path,))
    opened = HostUpscaler(patcher, settings)
    logger.info("%s: %s", name, opened.report)
    return opened


def upscaler_again(path: str, disable_dynamic: bool = False) -> Any:
    """A patcher of the upscaler in a file, with weights of its own."""
    device = mm.unet_offload_device()
    upscaler = load_upscaler(path, ops=comfy.ops.manual_cast, device=device)
    return new_patcher(upscaler, device, dynamic=not disable_dynamic)


def compute_dtype(device: Any) -> torch.dtype:
    """Precision of the network; its norms square what they see, which float16 cannot hold."""
    return torch.bfloat16 if mm.should_use_bf16(device) else torch.float32


def upscale_clip(upscaler: HostUpscaler, images: Tensor) -> tuple[Tensor, str]:
    """All enlarged frames (f 4h 4w 3) of images (f h w 3), and a report on the memory they took.

    Raises InvalidInputError when they cannot fit in memory.
    """
    if images.ndim != 4 or not len(images):
        raise InvalidInputError(f"The frames have shape {tuple(images.shape)}; connect at least one image.")
    needs = upscaler.estimate(*images.shape[:3])
    report = describe_upscale(upscaler, images, needs)
    if images.shape[-1] == CLEAR:
        images, report = images[..., :3], f"{report} Transparency is left out: enlarging does not know it."
    check_memory(upscaler, needs, report)
    logger.info("%s", report)
    say(report)
    f, h, w = images.shape[:3]
    made = torch.empty(f, upscaler.scale * h, upscaler.scale * w, 3)
    progress = FrameProgress(f, PREVIEW_FPS)
    for number, frame in enumerate(upscaler.stream(images.split(upscaler.config.max_frames))):
        made[number] = frame[0]
        progress(frame)
    return made, report


def describe_upscale(upscaler: HostUpscaler, images: Tensor, needs: UpscaleNeeds) -> str:
    """One sentence on what a clip becomes and takes."""
    f, h, w = images.shape[:3]
    s = upscaler.scale
    return (
        f"{f} frames of {w} x {h} become {s * w} x {s * h}: {needs.result / GIB:.2f} GB for the result, "
        f"{needs.work / GIB:.2f} GB to work in and {needs.device / GIB:.2f} GB on the device that computes."
    )


def check_memory(upscaler: HostUpscaler, needs: UpscaleNeeds, report: str) -> None:
    """Refuse what cannot fit, with what to change."""
    free, device = free_memory(CPU), upscaler.load_device
    here = needs.work + needs.result + (needs.device if device.type == "cpu" else 0)
    if here > free:
        raise InvalidInputError(
            f"{report} Only {free / GIB:.2f} GB of memory are free. Connect the upscaler to Render Video, "
            "which writes frames as they are made, or enlarge fewer frames, with fewer steps or a smaller "
            "tile_size."
        )
    total = total_memory(device)
    if device.type != "cpu" and needs.device > total:
        raise InvalidInputError(
            f"{report} The device has {total / GIB:.2f} GB. Set a smaller tile_size on Load Video Upscaler."
        )
