"""Image Motion: how far the frames of an animated image move away from it."""

from __future__ import annotations

from typing import Any

from ..temporal.sampling.affinity import CUSTOM, PRESETS, chosen
from .host import Node, io
from .host.layers.attached.stacks import reads_affinities, set_image_motion
from .host.search import search_aliases
from .host.shown import affinity_curve


class ImageMotion(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_ImageMotion",
            display_name="Image Motion (PIA)",
            category="Video LDM/sampling",
            **search_aliases("pia, animatelcm-i2v, affinity, motion strength"),
            description="Says how far a model that animates an image (PIA, AnimateLCM-I2V) moves it. "
            "Without this node the motion is small.",
            inputs=[
                io.Model.Input(
                    "model", tooltip="Model with PIA or AnimateLCM-I2V, from Load Temporal Layers."
                ),
                io.Combo.Input(
                    "motion",
                    options=[*PRESETS, CUSTOM],
                    default="small",
                    tooltip="For PIA. small, medium, large: how much moves. loop: the clip ends where it "
                    "began; give its first frame. style: the image is drawn anew in the style of "
                    "the checkpoint. custom: the list below.",
                ),
                io.String.Input(
                    "affinities",
                    default="1, 0.9, 0.85, 0.85, 0.85, 0.8",
                    tooltip="For motion custom: how alike a frame is to the image, from 1 (the same) to 0, "
                    "at the image itself, one frame from it, two frames from it and so on; the "
                    "last number holds for all beyond.",
                ),
                io.Float.Input(
                    "frame_weight",
                    default=0.8,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    tooltip="For AnimateLCM-I2V: how strongly it is told which frame it makes; 0.8 as "
                    "trained, less moves less.",
                ),
            ],
            outputs=[io.Model.Output(tooltip="The model with this motion; connect it to Video KSampler.")],
        )

    @classmethod
    def execute(
        cls, model: io.Model.Type, motion: str, affinities: str, frame_weight: float
    ) -> io.NodeOutput:
        picked = chosen(motion, affinities, frame_weight)
        shown: Any = affinity_curve(picked) if reads_affinities(model) else None
        return io.NodeOutput(set_image_motion(model, picked), ui=shown)
