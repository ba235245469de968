"""Kinds of sockets that only nodes of this pack have."""

from __future__ import annotations

from .host import io

MotionPromptType = io.Custom("VLDM_MOTION_PROMPT")
VideoDatasetType = io.Custom("VLDM_VIDEO_DATASET")
UpscalerType = io.Custom("VLDM_UPSCALER")
