"""Numbers for a clip: how much it moves, how steady it is, how far it is from another one."""

from __future__ import annotations

from .host import Node, io
from .host.measuring.clip import Measured, measured_clip
from .host.search import search_aliases
from .host.shown import shown_report


class VideoMetrics(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_VideoMetrics",
            display_name="Video Metrics",
            category="Video LDM/output",
            **search_aliases("measure, flicker, warping error, consistency, fvd, fid, evaluate, compare"),
            description="Measures a clip: motion, flicker, warping error, smoothness, drift, the seam of a "
            "loop; beside another clip where one is connected.",
            inputs=[
                io.Image.Input("images", tooltip="The clip to measure, two frames or more."),
                io.Float.Input(
                    "fps",
                    default=8.0,
                    min=0.1,
                    max=240.0,
                    step=0.1,
                    tooltip="Frames per second of the clips; motion is counted per second.",
                ),
                io.Boolean.Input(
                    "text",
                    default=False,
                    tooltip="Also measure how much of the frame text covers (RapidOCR).",
                ),
                io.Image.Input(
                    "other_images", optional=True, tooltip="Another clip to stand beside it in the report."
                ),
                io.ClipVision.Input(
                    "subject_vision",
                    optional=True,
                    tooltip="For subject consistency: DINOv2, or CLIP, from Load CLIP Vision.",
                ),
                io.ClipVision.Input(
                    "clip_vision",
                    optional=True,
                    tooltip="For background consistency: CLIP, from Load CLIP Vision.",
                ),
                io.Image.Input(
                    "given_images",
                    optional=True,
                    tooltip="Images that were given to the clip, to measure how well it keeps them.",
                ),
                io.String.Input(
                    "given_frames",
                    default="0",
                    optional=True,
                    tooltip="Frames at which they were given, in their order; -1 is the last frame.",
                ),
            ],
            outputs=[
                io.String.Output(display_name="report", tooltip="The numbers in words, a line each."),
                io.String.Output(display_name="numbers", tooltip="The numbers as JSON, for scripts."),
            ],
            is_output_node=True,
        )

    @classmethod
    def execute(
        cls,
        images: io.Image.Type,
        fps: float,
        text: bool,
        other_images: io.Image.Type | None = None,
        subject_vision: io.ClipVision.Type | None = None,
        clip_vision: io.ClipVision.Type | None = None,
        given_images: io.Image.Type | None = None,
        given_frames: str = "0",
    ) -> io.NodeOutput:
        settings = Measured(fps, text, background=clip_vision, subject=subject_vision)
        report, numbers = measured_clip(images, settings, other_images, given_images, given_frames)
        return io.NodeOutput(report, numbers, ui=shown_report(report))
