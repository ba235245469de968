"""Video Guider: the guidance of Video KSampler for the host's custom sampling."""

from __future__ import annotations

from typing import Any

from .host import Node, io
from .host.sampling.clip import make_guider
from .host.sampling.prompts import MotionPrompt
from .host.search import search_aliases
from .host.shown import cfg_curve
from .host.speed import speed_of
from .rare import rare
from .sample import cfg_input, cfg_last_frame_input, context_guidance_input, fps_input, motion_prompt_input


class VideoGuiderNode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_VideoGuider",
            display_name="Video Guider",
            category="Video LDM/sampling",
            **search_aliases("guider, cfg guider, samplercustomadvanced, context guidance"),
            description="Guidance of a clip for SamplerCustomAdvanced: a scale per frame, known frames and "
            "guidance towards them.",
            inputs=[
                io.Model.Input(
                    "model", tooltip="The model that denoises; with temporal layers it makes a video."
                ),
                io.Conditioning.Input("positive", tooltip="What should be seen."),
                io.Conditioning.Input("negative", tooltip="What should not be seen."),
                cfg_input(),
                fps_input(),
                io.Latent.Input(
                    "known_frames",
                    optional=True,
                    tooltip="Output of Known Frames; connect it to latent_image of SamplerCustomAdvanced, "
                    "too.",
                ),
                motion_prompt_input(),
                *rare(context_guidance_input(), cfg_last_frame_input(optional=True)),
            ],
            outputs=[io.Guider.Output(tooltip="Connect it to the guider of SamplerCustomAdvanced.")],
        )

    @classmethod
    def execute(
        cls,
        model: io.Model.Type,
        positive: io.Conditioning.Type,
        negative: io.Conditioning.Type,
        cfg: float,
        fps: float,
        known_frames: io.Latent.Type | None = None,
        motion_prompt: MotionPrompt | None = None,
        context_guidance: float = 1.0,
        cfg_last_frame: float = 0.0,
    ) -> io.NodeOutput:
        scales = (cfg, cfg_last_frame or cfg, context_guidance)
        fps = speed_of(fps, known_frames, {}).fps
        guider = make_guider(model, positive, negative, scales, fps, known_frames, motion_prompt)
        curve: Any = cfg_curve(cfg, cfg_last_frame, known_frames)
        return io.NodeOutput(guider, ui=curve)
