"""Memory that enlarging a clip will need, before it begins."""

from dataclasses import dataclass

from .config import UpscalerConfig
from .sampling import UpscaleSettings
from .tiles import tiles_along

FLOAT = 4  # bytes
LIVE_TENSORS = 10  # first-level feature maps in memory at the peak: 8 were counted, plus a reserve
FRAME_COPIES = 7  # of a window's enlarged frames while a step is computed, beside two in every stage


@dataclass(frozen=True)
class UpscaleNeeds:
    """Bytes."""

    work: int  # main memory while frames pass through; it does not grow with the clip
    device: int  # memory of the device that computes, beside the weights
    result: int  # all enlarged frames at once, as an IMAGE


def upscale_needs(
    config: UpscalerConfig, settings: UpscaleSettings, num_frames: int, height: int, width: int
) -> UpscaleNeeds:
    """Needs of a clip of given frames. Raises InvalidInputError for unusable settings."""
    settings = settings.checked(config)
    enlarged = 3 * config.scale**2 * height * width * FLOAT
    window = min(settings.window, num_frames)
    rows, columns = (tiles_along(side, settings.tile, config) for side in (height, width))
    tile = max(t.high - t.low for t in rows) * max(t.high - t.low for t in columns)
    places = window * tile * (config.scale // config.patch) ** 2
    per_place = LIVE_TENSORS * config.widths[0] + 4 * 3 * config.patch**2
    return UpscaleNeeds(
        work=window * enlarged * (2 * settings.steps + FRAME_COPIES),
        device=places * per_place * FLOAT,
        result=num_frames * enlarged,
    )
