"""The pixel-space video upscaler: given frames to frames several times as large, at any length and size."""

from .config import UpscalerConfig
from .formats import load_upscaler, report_upscaler, save_upscaler
from .model import VideoUpscaler
from .sampling import UpscaleSettings, upscale

__all__ = [
    "UpscaleSettings",
    "UpscalerConfig",
    "VideoUpscaler",
    "load_upscaler",
    "report_upscaler",
    "save_upscaler",
    "upscale",
]
