"""Motion Prompt: text that only the temporal layers read."""

from __future__ import annotations

from .host import Node, io
from .host.sampling.prompts import encode_motion
from .host.search import search_aliases
from .sockets import MotionPromptType


class MotionPromptEncode(Node):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VLDM_MotionPrompt",
            display_name="Motion Prompt",
            category="Video LDM/conditioning",
            **search_aliases("animatediff prompt, motion text, temporal conditioning"),
            description="Text for the temporal layers alone: how things move, while the prompt says what "
            "is seen.",
            inputs=[
                io.Clip.Input(
                    "clip",
                    tooltip="Text encoder the temporal layers were trained with; for a DreamBooth model "
                    "the original one, not the finetuned.",
                ),
                io.String.Input(
                    "text",
                    multiline=True,
                    dynamic_prompts=True,
                    tooltip="What moves and how, such as: panning to the left, waves rolling in.",
                ),
                io.String.Input(
                    "negative_text",
                    multiline=True,
                    dynamic_prompts=True,
                    default="",
                    optional=True,
                    tooltip="Motion to steer away from; empty is the usual choice.",
                ),
            ],
            outputs=[
                MotionPromptType.Output(
                    display_name="motion_prompt", tooltip="Connect it to the motion_prompt of Video KSampler."
                )
            ],
        )

    @classmethod
    def execute(cls, clip: io.Clip.Type, text: str, negative_text: str = "") -> io.NodeOutput:
        return io.NodeOutput(encode_motion(clip, text, negative_text))
