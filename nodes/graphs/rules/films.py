"""Nodes that write a film: Render Video."""

from __future__ import annotations

from typing import Any

from ..graph import GraphNode
from ..work import Work

FORMATS = {
    "image/gif": "gif",
    "image/webp": "webp (animated)",
    "video/h264-mp4": "mp4 (H.264)",
    "video/nvenc_h264-mp4": "mp4 (H.264)",
    "video/h265-mp4": "mp4 (H.265 10 bit)",
    "video/nvenc_hevc-mp4": "mp4 (H.265 10 bit)",
    "video/webm": "webm (VP9)",
    "video/av1-webm": "webm (AV1)",
    "video/ProRes": "mov (ProRes 422 HQ)",
    "video/ffmpeg-gif": "gif",
    "video/gifski": "gif",
    "video/ffv1-mkv": "mkv (FFV1 lossless 10 bit)",
    "video/16bit-png": "png sequence (16 bit)",
    "video/8bit-png": "png sequence (8 bit)",
}
SCALES = {  # crf at quality 0 and 100
    "mp4 (H.264)": (40, 12),
    "mp4 (H.265 10 bit)": (42, 14),
    "webm (VP9)": (55, 15),
    "webm (AV1)": (60, 16),
}
PREFIX = "AnimateDiff"


def film(work: Work, node: GraphNode) -> None:
    """AnimateDiff Combine or VHS Video Combine."""
    kind = str(work.fixed(node, "format"))
    name = FORMATS.get(kind)
    if name is None:
        name = "mp4 (H.264)"
        work.differs(node, f"the format {kind!r} is written as {name}.")
    if work.fixed(node, "loop_count"):
        work.differs(node, "gif and webp repeat for ever, video files play once.")
    prefix = work.given(node, "filename_prefix")
    inputs: dict[str, Any] = {
        "images": node.inputs.get("images"),
        "audio": node.inputs.get("audio"),
        "fps": work.given(node, "frame_rate"),
        "format": name,
        "quality": _quality(name, node.inputs.get("crf")),
        "filename_prefix": PREFIX if prefix in ("Enabled", "Disabled", None, "") else prefix,
        "pingpong": work.given(node, "pingpong") or False,
    }
    if work.fixed(node, "save_output") is False or work.fixed(node, "save_image") is False:
        work.differs(node, "the film is always kept in the output folder.")
    work.became(node, "Render Video")
    work.replace(node, work.add("VLDM_RenderVideo", node, **inputs))


def _quality(name: str, crf: Any) -> int:
    """Our quality that gives the same crf, within what it reaches; the usual one where there was none."""
    if name not in SCALES or not isinstance(crf, int | float):
        return 80
    worst, best = SCALES[name]
    return round(min(max(100 * (worst - crf) / (worst - best), 0), 100))
